// A peer to measure against: what the bench asks for of the module's API, on the same tables, as one writes it in Go with
// net/http and database/sql: a pool of connections that are kept, prepared statements, one joined question where one will
// do, a transaction for a write, rows written out as they come. BENCH_LISTEN (address:port), BENCH_DSN (go-sql-driver's),
// BENCH_CONNECTIONS.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"

	_ "github.com/go-sql-driver/mysql"
)

type organization struct {
	ID          string  `json:"id"`
	Name        string  `json:"name"`
	Description *string `json:"description"`
	Active      bool    `json:"active"`
	Role        string  `json:"role"`
	LicenseID   *string `json:"license_id"`
	CreatedAt   string  `json:"created_at"`
	UpdatedAt   string  `json:"updated_at"`
}

type member struct {
	OrganizationID string  `json:"organization_id"`
	UserID         string  `json:"user_id"`
	Email          string  `json:"email"`
	Name           *string `json:"name"`
	Role           string  `json:"role"`
	JoinedAt       string  `json:"joined_at"`
}

const organizationColumns = "o.id, o.name, o.description, o.active, m.role, l.id, o.created_at, o.updated_at "

// Who asks, and what they are in an organization, in one question.
const whoQuery = "SELECT u.id, " + organizationColumns + "FROM tokens t JOIN users u ON u.id = t.user_id AND u.active " +
	"LEFT JOIN memberships m ON m.user_id = u.id AND m.organization_id = ? " +
	"LEFT JOIN organizations o ON o.id = m.organization_id LEFT JOIN licenses l ON l.organization_id = o.id " +
	"WHERE t.hash = ? AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > UTC_TIMESTAMP(3))"

const listQuery = "SELECT " + organizationColumns + "FROM memberships m JOIN organizations o ON o.id = m.organization_id " +
	"LEFT JOIN licenses l ON l.organization_id = o.id WHERE m.user_id = ? ORDER BY m.organization_id"

const membersQuery = "SELECT m.user_id, u.email, u.name, m.role, m.joined_at FROM memberships m FORCE INDEX (memberships_joined) " +
	"JOIN users u ON u.id = m.user_id WHERE m.organization_id = ? ORDER BY m.joined_at, m.user_id"

// The organization's row is locked first; the right, and whether a seat is free, are seen under that lock.
const lockQuery = "SELECT o.active, o.members, o.seq, m.role, IF(l.revoked OR l.suspended OR l.expires_at <= UTC_TIMESTAMP(3) " +
	"OR l.starts_at > UTC_TIMESTAMP(3), NULL, l.seats) FROM organizations o JOIN memberships m ON m.organization_id = o.id AND m.user_id = ? " +
	"LEFT JOIN licenses l ON l.organization_id = o.id WHERE o.id = ? FOR UPDATE"

const userQuery = "SELECT u.id, u.name, m.role FROM users u LEFT JOIN memberships m ON m.user_id = u.id AND m.organization_id = ? " +
	"WHERE u.email = ? AND u.active"

const eventQuery = "INSERT INTO events (id, organization_id, seq, at, actor_id, action, target_id, changes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"

var statements struct{ who, list, members, lock, user, createOrganization, addMember, count, event *sql.Stmt }

var db *sql.DB

func prepare() {
	for _, s := range []struct {
		to   **sql.Stmt
		text string
	}{
		{&statements.who, whoQuery}, {&statements.list, listQuery}, {&statements.members, membersQuery},
		{&statements.lock, lockQuery}, {&statements.user, userQuery}, {&statements.event, eventQuery},
		{&statements.createOrganization, "INSERT INTO organizations (id, name, description, active, members, seq, version, created_by, created_at, updated_at) " +
			"VALUES (?, ?, ?, TRUE, 1, 1, 1, ?, ?, ?)"},
		{&statements.addMember, "INSERT INTO memberships (organization_id, user_id, role, joined_at) VALUES (?, ?, ?, ?)"},
		{&statements.count, "UPDATE organizations SET members = members + 1, seq = seq + 1 WHERE id = ?"},
	} {
		var err error
		if *s.to, err = db.Prepare(s.text); err != nil {
			log.Fatal(err)
		}
	}
}

func textOf(id []byte) string {
	var to [36]byte
	hex.Encode(to[0:8], id[0:4])
	hex.Encode(to[9:13], id[4:6])
	hex.Encode(to[14:18], id[6:8])
	hex.Encode(to[19:23], id[8:10])
	hex.Encode(to[24:36], id[10:16])
	to[8], to[13], to[18], to[23] = '-', '-', '-', '-'
	return string(to[:])
}

func idOf(text string) []byte {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return nil
	}
	id, err := hex.DecodeString(text[0:8] + text[9:13] + text[14:18] + text[19:23] + text[24:36])
	if err != nil {
		return nil
	}
	return id
}

func timeText(t string) string { return t[0:10] + "T" + t[11:23] + "Z" }

func license(id []byte) *string {
	if id == nil {
		return nil
	}
	text := textOf(id)
	return &text
}

// The token's hash; nil without a token.
func hashOf(r *http.Request) []byte {
	header := r.Header.Get("Authorization")
	if len(header) < 7 || !strings.EqualFold(header[:7], "Bearer ") {
		return nil
	}
	hash := sha256.Sum256([]byte(header[7:]))
	return hash[:]
}

// The caller's id, and the organization as they see it: nil where they are no member.
func who(ctx context.Context, r *http.Request, org []byte) ([]byte, *organization, error) {
	var user, id, lic []byte
	var name, description, role, created, updated sql.NullString
	var active sql.NullBool
	hash := hashOf(r)
	if hash == nil {
		return nil, nil, sql.ErrNoRows
	}
	err := statements.who.QueryRowContext(ctx, org, hash).Scan(&user, &id, &name, &description, &active, &role, &lic, &created, &updated)
	if err != nil || id == nil {
		return user, nil, err
	}
	o := &organization{textOf(id), name.String, nil, active.Bool, role.String, license(lic), timeText(created.String), timeText(updated.String)}
	if description.Valid {
		o.Description = &description.String
	}
	return user, o, nil
}

func answer(w http.ResponseWriter, status int, what interface{}) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(what); err != nil {
		w.WriteHeader(500)
		return
	}
	body.Truncate(body.Len() - 1)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "private, no-cache")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

func problem(w http.ResponseWriter, status int, code string) {
	answer(w, status, map[string]interface{}{"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code})
}

// Writes a list out while it is read: each() gives the next item.
func list(w http.ResponseWriter, rows *sql.Rows, each func(*sql.Rows) (interface{}, error)) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-cache")
	out := bufio.NewWriterSize(w, 16384)
	separator := byte('[')
	for rows.Next() {
		item, err := each(rows)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		text, _ := json.Marshal(item)
		out.WriteByte(separator)
		out.Write(text)
		separator = ','
	}
	if rows.Err() != nil {
		panic(http.ErrAbortHandler)
	}
	if separator == '[' {
		out.WriteByte('[')
	}
	out.WriteByte(']')
	out.Flush()
}

func listOrganizations(w http.ResponseWriter, r *http.Request, user []byte) {
	rows, err := statements.list.QueryContext(r.Context(), user)
	if err != nil {
		problem(w, 503, "unavailable")
		return
	}
	defer rows.Close()
	list(w, rows, func(rows *sql.Rows) (interface{}, error) {
		var id, lic []byte
		var description sql.NullString
		o := &organization{}
		err := rows.Scan(&id, &o.Name, &description, &o.Active, &o.Role, &lic, &o.CreatedAt, &o.UpdatedAt)
		if err != nil {
			return nil, err
		}
		o.ID, o.LicenseID, o.CreatedAt, o.UpdatedAt = textOf(id), license(lic), timeText(o.CreatedAt), timeText(o.UpdatedAt)
		if description.Valid {
			o.Description = &description.String
		}
		return o, nil
	})
}

func listMembers(w http.ResponseWriter, r *http.Request, org []byte, text string) {
	rows, err := statements.members.QueryContext(r.Context(), org)
	if err != nil {
		problem(w, 503, "unavailable")
		return
	}
	defer rows.Close()
	list(w, rows, func(rows *sql.Rows) (interface{}, error) {
		var id []byte
		var name sql.NullString
		m := &member{OrganizationID: text}
		if err := rows.Scan(&id, &m.Email, &name, &m.Role, &m.JoinedAt); err != nil {
			return nil, err
		}
		m.UserID, m.JoinedAt = textOf(id), timeText(m.JoinedAt)
		if name.Valid {
			m.Name = &name.String
		}
		return m, nil
	})
}

func serve(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/organizations"), "/")
	var org []byte
	if len(path) > 1 {
		if org = idOf(path[1]); org == nil {
			problem(w, 404, "organization_not_found")
			return
		}
	}
	user, o, err := who(r.Context(), r, org)
	switch {
	case err == sql.ErrNoRows:
		problem(w, 401, "unauthorized")
	case err != nil:
		problem(w, 503, "unavailable")
	case len(path) == 1 && r.Method == "GET":
		listOrganizations(w, r, user)
	case len(path) == 1 && r.Method == "POST":
		createOrganization(w, r, user)
	case len(path) > 1 && o == nil:
		problem(w, 404, "organization_not_found")
	case len(path) == 2 && r.Method == "GET":
		answer(w, 200, o)
	case len(path) == 3 && path[2] == "members" && r.Method == "GET":
		listMembers(w, r, org, o.ID)
	case len(path) == 3 && path[2] == "members" && r.Method == "POST":
		addMember(w, r, user, org)
	default:
		problem(w, 404, "not_found")
	}
}

func main() {
	var err error
	if db, err = sql.Open("mysql", os.Getenv("BENCH_DSN")); err != nil {
		log.Fatal(err)
	}
	connections, err := strconv.Atoi(os.Getenv("BENCH_CONNECTIONS"))
	if err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	prepare()
	http.HandleFunc("/organizations", serve)
	http.HandleFunc("/organizations/", serve)
	log.Fatal(http.ListenAndServe(os.Getenv("BENCH_LISTEN"), nil))
}
