/*
 * The watchdog. Its state is as old as the process and never freed: the thread may outlive every pool of httpd's,
 * in prefork even run while a signal handler tears them down.
 */
#include "orgs_watchdog.h"

#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <apr_thread_proc.h>
#include <signal.h>
#include <sys/socket.h>

#include "orgs_time.h"

struct orgs_watch_t {
    orgs_watch_t *prev;
    orgs_watch_t *next;
    apr_time_t deadline;
    int fd;
    int shut;
};

static apr_pool_t *pool;
static apr_thread_mutex_t *lock;
static apr_thread_cond_t *earlier;
static orgs_watch_t armed = {&armed, &armed, 0, -1, 0}; /* a ring */
static orgs_watch_t *spare;
static apr_time_t wake; /* when the thread will look next; 0: not before it is told */

/* Shuts what is overdue; the next deadline, or 0. */
static apr_time_t shut_overdue(apr_time_t now)
{
    apr_time_t next = 0;
    orgs_watch_t *watch;

    for (watch = armed.next; watch != &armed; watch = watch->next) {
        if (watch->shut) {
            continue;
        }
        if (watch->deadline <= now) {
            shutdown(watch->fd, SHUT_RDWR);
            watch->shut = 1;
        }
        else if (next == 0 || watch->deadline < next) {
            next = watch->deadline;
        }
    }
    return next;
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *nothing)
{
    (void)thread;
    apr_thread_mutex_lock(lock);
    for (;;) {
        apr_time_t now = orgs_clock();

        wake = shut_overdue(now);
        if (wake == 0) {
            apr_thread_cond_wait(earlier, lock);
        }
        else {
            apr_thread_cond_timedwait(earlier, lock, wake - now);
        }
    }
    return nothing;
}

apr_status_t orgs_watchdog_start(void)
{
    apr_threadattr_t *attributes;
    apr_thread_t *thread;
    sigset_t all, before;
    apr_status_t rv;

    if (pool != NULL) {
        return APR_SUCCESS;
    }
    if ((rv = apr_pool_create_unmanaged_ex(&pool, NULL, NULL)) != APR_SUCCESS
        || (rv = apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, pool)) != APR_SUCCESS
        || (rv = apr_thread_cond_create(&earlier, pool)) != APR_SUCCESS
        || (rv = apr_threadattr_create(&attributes, pool)) != APR_SUCCESS
        || (rv = apr_threadattr_detach_set(attributes, 1)) != APR_SUCCESS) {
        return rv;
    }
    /* the process's signals are for the threads that httpd means them for */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = apr_thread_create(&thread, attributes, run, NULL, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rv;
}

orgs_watch_t *orgs_watch_make(void)
{
    orgs_watch_t *watch;

    apr_thread_mutex_lock(lock);
    watch = spare;
    if (watch != NULL) {
        spare = watch->next;
    }
    else {
        watch = apr_palloc(pool, sizeof(*watch));
    }
    apr_thread_mutex_unlock(lock);
    if (watch != NULL) {
        watch->next = watch->prev = NULL;
        watch->shut = 0;
    }
    return watch;
}

void orgs_watch_give_back(orgs_watch_t *watch)
{
    apr_thread_mutex_lock(lock);
    watch->next = spare;
    spare = watch;
    apr_thread_mutex_unlock(lock);
}

void orgs_watch_arm(orgs_watch_t *watch, int fd, apr_time_t deadline)
{
    apr_thread_mutex_lock(lock);
    watch->fd = fd;
    watch->deadline = deadline;
    watch->shut = 0;
    watch->next = &armed;
    watch->prev = armed.prev;
    armed.prev->next = watch;
    armed.prev = watch;
    if (wake == 0 || deadline < wake) {
        wake = deadline;
        apr_thread_cond_signal(earlier);
    }
    apr_thread_mutex_unlock(lock);
}

int orgs_watch_disarm(orgs_watch_t *watch)
{
    apr_thread_mutex_lock(lock);
    watch->prev->next = watch->next;
    watch->next->prev = watch->prev;
    watch->next = watch->prev = NULL;
    apr_thread_mutex_unlock(lock);
    return watch->shut;
}
