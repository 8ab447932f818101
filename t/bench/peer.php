<?php
// A peer to measure against: what the bench asks for of the module's API, on the same tables, as one writes it in PHP for
// php-fpm: PDO with a connection that is kept from request to request, prepared statements, one joined question where
// one will do, a transaction for a write. BENCH_SOCKET, BENCH_USER, BENCH_PASSWORD: the database.

const ORGANIZATION = 'o.id, o.name, o.description, o.active, m.role, l.id AS license, o.created_at, o.updated_at ';

function answer($status, $body, $location = null)
{
    $text = is_string($body) ? $body : json_encode($body, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
    http_response_code($status);
    header('Content-Type: application/json');
    header('Cache-Control: private, no-cache');
    header('Content-Length: ' . strlen($text));
    if ($location !== null) {
        header("Location: $location", true, $status);
    }
    echo $text;
    exit;
}

function problem($status, $code)
{
    answer($status, ['type' => 'about:blank', 'status' => $status, 'code' => $code]);
}

function text_of($id)
{
    $hex = bin2hex($id);
    return substr($hex, 0, 8) . '-' . substr($hex, 8, 4) . '-' . substr($hex, 12, 4) . '-' . substr($hex, 16, 4) . '-' . substr($hex, 20);
}

function new_id()
{
    $id = substr(pack('J', (int)(microtime(true) * 1000)), 2) . random_bytes(10);
    $id[6] = chr(ord($id[6]) & 0x0f | 0x70);
    $id[8] = chr(ord($id[8]) & 0x3f | 0x80);
    return $id;
}

function time_text($t)
{
    return substr($t, 0, 10) . 'T' . substr($t, 11, 12) . 'Z';
}

function now()
{
    return (new DateTimeImmutable('now', new DateTimeZone('UTC')))->format('Y-m-d H:i:s.v');
}

function organization($row)
{
    return ['id' => text_of($row['id']), 'name' => $row['name'], 'description' => $row['description'], 'active' => (bool)$row['active'],
        'role' => $row['role'], 'license_id' => $row['license'] !== null ? text_of($row['license']) : null,
        'created_at' => time_text($row['created_at']), 'updated_at' => time_text($row['updated_at'])];
}

function ask($db, $sql, $parameters)
{
    $statement = $db->prepare($sql);
    $statement->execute($parameters);
    return $statement;
}

// A write, again where it lost against another one.
function write($db, $work)
{
    for ($try = 0;; $try++) {
        try {
            $db->beginTransaction();
            $refused = $work();
            $refused ? $db->rollBack() : $db->commit();
            return $refused;
        } catch (PDOException $e) {
            if ($db->inTransaction()) {
                $db->rollBack();
            }
            if ($try == 10 || !in_array($e->errorInfo[1] ?? 0, [1213, 1205])) {
                throw $e;
            }
        }
    }
}

function event($db, $organization, $seq, $at, $actor, $action, $target, $changes)
{
    ask($db, 'INSERT INTO events (id, organization_id, seq, at, actor_id, action, target_id, changes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
        [new_id(), $organization, $seq, $at, $actor, $action, $target, json_encode($changes)]);
}

function input()
{
    if (!str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json')) {
        problem(415, 'unsupported_media_type');
    }
    $in = json_decode(file_get_contents('php://input'), true);
    return is_array($in) ? $in : problem(400, 'invalid_json');
}

function create_organization($db, $user)
{
    $in = input();
    $name = trim($in['name'] ?? '');
    $description = $in['description'] ?? null;
    if (!preg_match('/^.{1,200}$/us', $name)) {
        problem(422, 'invalid_input');
    }
    $id = new_id();
    $at = now();
    write($db, function () use ($db, $id, $name, $description, $user, $at) {
        ask($db, 'INSERT INTO organizations (id, name, description, active, members, seq, version, created_by, created_at, updated_at) '
            . 'VALUES (?, ?, ?, TRUE, 1, 1, 1, ?, ?, ?)', [$id, $name, $description, $user, $at, $at]);
        ask($db, 'INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES (?, ?, ?, ?)', [$id, $user, 'admin', $at]);
        event($db, $id, 1, $at, $user, 'organization.create', null, ['name' => [null, $name], 'active' => [null, true]]);
    });
    $text = text_of($id);
    answer(201, ['id' => $text, 'name' => $name, 'description' => $description, 'active' => true, 'role' => 'admin', 'license_id' => null,
        'created_at' => time_text($at), 'updated_at' => time_text($at)], "/organizations/$text");
}

function add_member($db, $user, $organization)
{
    $in = input();
    $email = strtolower(trim($in['email'] ?? ''));
    $role = $in['role'] ?? 'member';
    $member = null;
    $refused = write($db, function () use ($db, $user, $organization, $email, $role, &$member) {
        // the organization's row is locked first; the right, and whether a seat is free, are seen under that lock
        $o = ask($db, 'SELECT o.active, o.members, o.seq, m.role, IF(l.revoked OR l.suspended OR l.expires_at <= UTC_TIMESTAMP(3) '
            . 'OR l.starts_at > UTC_TIMESTAMP(3), NULL, l.seats) AS seats FROM organizations o '
            . 'JOIN memberships m ON m.organization_id = o.id AND m.user_id = ? '
            . 'LEFT JOIN licenses l ON l.organization_id = o.id WHERE o.id = ? FOR UPDATE', [$user, $organization])->fetch();
        if (!$o) {
            return [404, 'organization_not_found'];
        }
        if ($o['role'] !== 'admin') {
            return [403, 'admin_required'];
        }
        if (!$o['active']) {
            return [409, 'organization_inactive'];
        }
        $u = ask($db, 'SELECT u.id, u.name, m.role FROM users u LEFT JOIN memberships m ON m.user_id = u.id AND m.organization_id = ? '
            . 'WHERE u.email = ? AND u.active', [$organization, $email])->fetch();
        if (!$u) {
            return [404, 'user_not_found'];
        }
        if ($u['role'] !== null) {
            return [409, 'already_member'];
        }
        if ($o['seats'] !== null && $o['members'] >= $o['seats']) {
            return [409, 'seat_limit_reached'];
        }
        $at = now();
        ask($db, 'INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES (?, ?, ?, ?)', [$organization, $u['id'], $role, $at]);
        ask($db, 'UPDATE organizations SET members = members + 1, seq = seq + 1 WHERE id = ?', [$organization]);
        event($db, $organization, $o['seq'] + 1, $at, $user, 'member.add', $u['id'], ['role' => [null, $role]]);
        $member = ['organization_id' => text_of($organization), 'user_id' => text_of($u['id']), 'email' => $email, 'name' => $u['name'],
            'role' => $role, 'joined_at' => time_text($at)];
    });
    if ($refused) {
        problem(...$refused);
    }
    answer(201, $member, "/organizations/$member[organization_id]/members/$member[user_id]");
}

function list_members($db, $organization)
{
    $text = text_of($organization);
    $items = [];
    foreach (ask($db, 'SELECT m.user_id, u.email, u.name, m.role, m.joined_at FROM memberships m FORCE INDEX (memberships_joined) '
        . 'JOIN users u ON u.id = m.user_id WHERE m.organization_id = ? ORDER BY m.joined_at, m.user_id', [$organization]) as $row) {
        $items[] = ['organization_id' => $text, 'user_id' => text_of($row['user_id']), 'email' => $row['email'], 'name' => $row['name'],
            'role' => $row['role'], 'joined_at' => time_text($row['joined_at'])];
    }
    answer(200, $items);
}

function list_organizations($db, $user)
{
    $rows = ask($db, 'SELECT ' . ORGANIZATION . 'FROM memberships m JOIN organizations o ON o.id = m.organization_id '
        . 'LEFT JOIN licenses l ON l.organization_id = o.id WHERE m.user_id = ? ORDER BY m.organization_id', [$user]);
    answer(200, array_map('organization', $rows->fetchAll()));
}

function main()
{
    $path = explode('/', explode('?', $_SERVER['REQUEST_URI'])[0]);
    $post = $_SERVER['REQUEST_METHOD'] === 'POST';
    $organization = isset($path[2]) ? @hex2bin(str_replace('-', '', $path[2])) : null;
    if ($organization === false || (isset($path[3]) && $path[3] !== 'members')) {
        problem(404, 'not_found');
    }
    if (!preg_match('/^Bearer (.+)$/i', $_SERVER['HTTP_AUTHORIZATION'] ?? '', $match)) {
        problem(401, 'unauthorized');
    }
    $db = new PDO('mysql:unix_socket=' . getenv('BENCH_SOCKET') . ';dbname=orgs;charset=utf8mb4', getenv('BENCH_USER'), getenv('BENCH_PASSWORD'),
        [PDO::ATTR_PERSISTENT => true, PDO::ATTR_EMULATE_PREPARES => getenv('BENCH_EMULATE') === '1', PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
         PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC]);
    // who asks, and what they are in the organization, in one question
    $who = ask($db, 'SELECT u.id AS user, ' . ORGANIZATION . 'FROM tokens t JOIN users u ON u.id = t.user_id AND u.active '
        . 'LEFT JOIN memberships m ON m.user_id = u.id AND m.organization_id = ? LEFT JOIN organizations o ON o.id = m.organization_id '
        . 'LEFT JOIN licenses l ON l.organization_id = o.id WHERE t.hash = ? AND t.revoked_at IS NULL '
        . 'AND (t.expires_at IS NULL OR t.expires_at > UTC_TIMESTAMP(3))', [$organization, hash('sha256', $match[1], true)])->fetch();
    if (!$who) {
        problem(401, 'unauthorized');
    }
    if ($organization === null) {
        $post ? create_organization($db, $who['user']) : list_organizations($db, $who['user']);
    }
    if ($who['id'] === null) {
        problem(404, 'organization_not_found');
    }
    if (isset($path[3])) {
        $post ? add_member($db, $who['user'], $organization) : list_members($db, $organization);
    }
    answer(200, organization($who));
}

try {
    main();
} catch (PDOException $e) {
    error_log($e->getMessage());
    problem(503, 'unavailable');
}
