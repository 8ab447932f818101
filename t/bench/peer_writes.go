// The writes of peer.go.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

var errStatus = errors.New("refused")

func newID(now time.Time) []byte {
	id := make([]byte, 16)
	rand.Read(id)
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(id, ms[2:8])
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id
}

func body(w http.ResponseWriter, r *http.Request, to interface{}) bool {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		problem(w, 415, "unsupported_media_type")
		return false
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 65536)).Decode(to); err != nil {
		problem(w, 400, "invalid_json")
		return false
	}
	return true
}

// A write, again where it lost against another one.
func write(ctx context.Context, work func(*sql.Tx) error) error {
	for try := 0; ; try++ {
		tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelDefault})
		if err == nil {
			if err = work(tx); err == nil {
				err = tx.Commit()
			} else {
				tx.Rollback()
			}
		}
		var number *mysql.MySQLError
		if err == nil || try == 10 || !errors.As(err, &number) || (number.Number != 1213 && number.Number != 1205) {
			return err
		}
	}
}

func createOrganization(w http.ResponseWriter, r *http.Request, user []byte) {
	var in struct {
		Name        string  `json:"name"`
		Description *string `json:"description"`
	}
	if !body(w, r, &in) {
		return
	}
	in.Name = strings.TrimSpace(in.Name)
	if in.Name == "" || len([]rune(in.Name)) > 200 {
		problem(w, 422, "invalid_input")
		return
	}
	now := time.Now().UTC()
	id, at := newID(now), now.Format("2006-01-02 15:04:05.000")
	ctx := r.Context()
	err := write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.StmtContext(ctx, statements.createOrganization).ExecContext(ctx, id, in.Name, in.Description, user, at, at); err != nil {
			return err
		}
		if _, err := tx.StmtContext(ctx, statements.addMember).ExecContext(ctx, id, user, "admin", at); err != nil {
			return err
		}
		changes, _ := json.Marshal(map[string]interface{}{"name": []interface{}{nil, in.Name}, "active": []interface{}{nil, true}})
		_, err := tx.StmtContext(ctx, statements.event).ExecContext(ctx, newID(now), id, 1, at, user, "organization.create", nil, changes)
		return err
	})
	if err != nil {
		problem(w, 503, "unavailable")
		return
	}
	w.Header().Set("Location", "/organizations/"+textOf(id))
	answer(w, 201, &organization{textOf(id), in.Name, in.Description, true, "admin", nil, timeText(at), timeText(at)})
}

func addMember(w http.ResponseWriter, r *http.Request, user, org []byte) {
	var in struct {
		Email string `json:"email"`
		Role  string `json:"role"`
	}
	if !body(w, r, &in) {
		return
	}
	if in.Role == "" {
		in.Role = "member"
	}
	email := strings.ToLower(strings.TrimSpace(in.Email))
	m := &member{OrganizationID: textOf(org), Email: email, Role: in.Role}
	status, code := 503, "unavailable"
	refuse := func(s int, c string) error { status, code = s, c; return errStatus }
	ctx := r.Context()
	err := write(ctx, func(tx *sql.Tx) error {
		var active bool
		var members, seq int64
		var role string
		var seats sql.NullInt64
		err := tx.StmtContext(ctx, statements.lock).QueryRowContext(ctx, user, org).Scan(&active, &members, &seq, &role, &seats)
		if err == sql.ErrNoRows {
			return refuse(404, "organization_not_found")
		} else if err != nil {
			return err
		}
		now := time.Now().UTC()
		at := now.Format("2006-01-02 15:04:05.000")
		var id []byte
		var name, standing sql.NullString
		err = tx.StmtContext(ctx, statements.user).QueryRowContext(ctx, org, email).Scan(&id, &name, &standing)
		switch {
		case role != "admin":
			return refuse(403, "admin_required")
		case !active:
			return refuse(409, "organization_inactive")
		case err == sql.ErrNoRows:
			return refuse(404, "user_not_found")
		case err != nil:
			return err
		case standing.Valid:
			return refuse(409, "already_member")
		case seats.Valid && members >= seats.Int64:
			return refuse(409, "seat_limit_reached")
		}
		if _, err = tx.StmtContext(ctx, statements.addMember).ExecContext(ctx, org, id, in.Role, at); err != nil {
			return err
		}
		if _, err = tx.StmtContext(ctx, statements.count).ExecContext(ctx, org); err != nil {
			return err
		}
		changes, _ := json.Marshal(map[string]interface{}{"role": []interface{}{nil, in.Role}})
		_, err = tx.StmtContext(ctx, statements.event).ExecContext(ctx, newID(now), org, seq+1, at, user, "member.add", id, changes)
		m.UserID, m.JoinedAt = textOf(id), timeText(at)
		if name.Valid {
			m.Name = &name.String
		}
		return err
	})
	if err != nil {
		problem(w, status, code)
		return
	}
	w.Header().Set("Location", "/organizations/"+m.OrganizationID+"/members/"+m.UserID)
	answer(w, 201, m)
}
