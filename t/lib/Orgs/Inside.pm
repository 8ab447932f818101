# A database whose procedures can be stopped and broken between any two of their statements.
#
#   my @gaps = instrument($name);   # makes the database; every gap between statements
#   arm({gap => 12, fault => 'error', number => 1644, times => 1}, ...);   # each rule waits for the one before
#   my $rest = rival('CALL inside_wait(1)', ...);   # another session, which goes on by itself; $rest->() waits for it
#   my $seen = seen();              # {gaps => [[gap, connection, whether in a transaction], ...], calls => [...]}
#   disarm();                       # whoever is still held goes on; disarm(1): and the rival of one that failed ends
#
# A gap: {number, procedure, text (of the statement behind it), kind (its first word), handler (it is in one), first,
# last}. What stands in the procedure there is a call of inside_at, which notes that it was come by, and does what is
# armed:
#
#   error     this number, as a trigger could raise it
#   held      a busy loop until the rival says go (SLEEP and GET_LOCK would swallow a kill, and so does, sometimes, SELECT
#             ... INTO), or the server's own limit ends it
#   lock      waits for a row that the rival holds
#   deadlock  takes a row, and waits for one of the rival's, who waits for that
#
# All of it works on the database that move_to() named. What it notes is in tables without transactions: it stays.
package Orgs::Inside;

use Orgs::Test;

use Exporter qw(import);

our @EXPORT = qw(instrument arm rival crowd_is_here seen disarm trigger_on trigger_off);

# --- the text of a procedure ---------------------------------------------------------------------------------------------

my @gaps;
my ($text, $made, $procedure);    # of what is read now

# What is no statement: white space and comments.
sub blank {
    $made .= $1 while $text =~ /\G(\s+|--[ \t][^\n]*|#[^\n]*|\/\*.*?\*\/)/gcs;
    return;
}

# Whether this comes next. (Without /g: after a match of no length another one is not tried.)
sub next_is { my ($what) = @_; return $text =~ /\G$what/i }

# Up to and with a word or sign that is in no string and no comment.
sub upto {
    my ($end) = @_;
    my $from = pos($text) // 0;
    until ($text =~ /\G$end/gci) {
        $text =~ /\G(?:'(?:[^'\\]|\\.|'')*'|--[ \t][^\n]*|\w+|.)/gcs or die "$procedure: no $end after: " . substr $text, $from, 80;
    }
    my $part = substr $text, $from, pos($text) - $from;
    $made .= $part;
    return $part;
}

sub gap {
    my ($handler) = @_;
    my ($behind) = $text =~ /\G([^;]*)/;
    $behind =~ s/--[ \t][^\n]*//g;
    $behind =~ s/\s+/ /g;
    $behind =~ s/^((?:\w+: )?BEGIN|ELSE)\b.*/$1/;
    $behind =~ s/ THEN\b.*//;
    my ($kind) = $behind =~ /^(?:\w+: )?(\w+)/;
    push @gaps, {number => scalar @gaps + 1, procedure => $procedure, text => substr($behind, 0, 60), whole => $behind, kind => uc($kind // ''), handler => $handler};
    my $n = @gaps;
    # not within a procedure of ours: after a kill in there the handler would run, which a kill here skips
    $made .= "CALL inside_at($n); WHILE EXISTS (SELECT 1 FROM inside_held WHERE gap = $n AND connection = CONNECTION_ID() AND go < turn) DO BEGIN END; END WHILE; ";
    return;
}

# Statements up to an END or ELSE, with a gap before each, and one behind the last.
sub statements {
    my ($handler) = @_;
    my $left = 0;    # by the last one
    while (1) {
        blank();
        if (next_is('(?:END|ELSE|ELSEIF)\b')) {
            gap($handler) if !$left;
            return;
        }
        if ($text =~ /\G(DECLARE\s+\w+\s+HANDLER\s+FOR\s+\w+\s+)/gci) {
            $made .= $1;
            next_is('BEGIN\b') ? compound(1) : upto(';');
        }
        elsif (next_is('DECLARE\b')) {
            upto(';');
        }
        else {
            # a call would change what it counts
            gap($handler) if !next_is('[^;]*\bROW_COUNT\(\)');
            ($left) = $text =~ /\G(LEAVE|SIGNAL|RESIGNAL)\b/i;
            my ($transaction) = $text =~ /\G(START TRANSACTION|COMMIT|ROLLBACK)\b/i;
            next_is('(?:\w+\s*:\s*)?BEGIN\b') ? compound($handler) : next_is('IF\b') ? branches($handler) : upto(';');
            $made .= " SET \@inside_open = " . ($transaction =~ /^START/i ? "TRUE;" : "FALSE;") if $transaction;
        }
    }
}

sub compound {
    my ($handler) = @_;
    upto('BEGIN\b');
    statements($handler);
    upto('END\b');
    upto(';') if pos($text) < length $text;
    return;
}

sub branches {
    my ($handler) = @_;
    upto('THEN\b');
    statements($handler);
    while (next_is('ELSE')) {
        upto(next_is('ELSEIF\b') ? 'THEN\b' : 'ELSE\b');
        statements($handler);
    }
    upto('END\s+IF\s*;');
    return;
}

# A parameter's value as SQL.
sub literal {
    my ($name, $type) = @_;
    return "IFNULL(CONCAT('X''', HEX($name), ''''), 'NULL')" if $type =~ /BINARY/i;
    return $type =~ /CHAR|TEXT/i ? "QUOTE($name)" : "IFNULL($name, 'NULL')";
}

# The procedure with its gaps. Where it is told an event's id, or items of several, the CALL itself is noted as well.
sub with_gaps {
    my ($name, $parameters, $body) = @_;
    ($procedure, $text, $made) = ($name, $body, '');
    my $from = @gaps;
    pos($text) = 0;
    blank();
    compound(0);
    $gaps[$_]{first} = 1 for grep { !$gaps[$_]{handler} } (grep { !$gaps[$_]{handler} } $from .. $#gaps)[0];
    $gaps[-1]{last} = 1;
    my @parameters = map { /^\s*(?:IN|OUT)\s+(\w+)\s+(.*)/s ? [$1, $2] : die "$name: $_" } split /,(?![^(]*\))/, $parameters;
    my $several = grep { $_->[0] eq 'p_items' } @parameters;
    if ($several || $parameters[0][0] eq 'p_event') {
        my ($first) = grep { $_->{first} } @gaps[$from .. $#gaps];
        my $values = join ", ',', ", map { literal(@$_) } @parameters[1 .. $#parameters];
        my $call = $several ? "CALL inside_call('$name', NULL, p_items); " : "CALL inside_call('$name', p_event, CONCAT('', " . ($values || "''") . ')); ';
        $made =~ s/(?=CALL inside_at\($first->{number}\); )/$call/;
    }
    return $made;
}

# --- the database ----------------------------------------------------------------------------------------------------------

my $own = <<'SQL';
CREATE TABLE inside_rules (n INT PRIMARY KEY, gap INT, fault VARCHAR(16), number INT, times INT) ENGINE=MEMORY;
CREATE TABLE inside_seen (n INT AUTO_INCREMENT PRIMARY KEY, gap INT, connection BIGINT, open BOOLEAN) ENGINE=MEMORY;
CREATE TABLE inside_calls (n INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(64), event BINARY(16), connection BIGINT, arguments TEXT) ENGINE=MyISAM;
CREATE TABLE inside_held (gap INT, turn INT, go INT, connection BIGINT, calls INT, crowd BOOLEAN) ENGINE=MEMORY;
CREATE TABLE inside_rows (id INT PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE inside_weight (id INT PRIMARY KEY) ENGINE=InnoDB;
INSERT INTO inside_held VALUES (0, 0, 0, NULL, 0, FALSE);
INSERT INTO inside_rows VALUES (1), (2);
DELIMITER $$
CREATE PROCEDURE inside_call(IN p_name VARCHAR(64), IN p_event BINARY(16), IN p_arguments TEXT CHARACTER SET utf8mb4)
    INSERT INTO inside_calls (name, event, connection, arguments) VALUES (p_name, p_event, CONNECTION_ID(), p_arguments)$$
CREATE PROCEDURE inside_here(IN p_gap INT)
    UPDATE inside_held SET gap = p_gap, turn = turn + 1, connection = CONNECTION_ID(), calls = (SELECT COUNT(*) FROM inside_calls)$$
CREATE PROCEDURE inside_at(IN p_gap INT)
BEGIN
    DECLARE v_n, v_gap, v_number, v_row INT;
    DECLARE v_fault VARCHAR(16);
    INSERT INTO inside_seen (gap, connection, open) VALUES (p_gap, CONNECTION_ID(), IFNULL(@inside_open, 0));
    SELECT n, gap, fault, number INTO v_n, v_gap, v_fault, v_number FROM inside_rules WHERE times > 0 ORDER BY n LIMIT 1;
    IF v_gap = p_gap THEN
        UPDATE inside_rules SET times = times - 1 WHERE n = v_n;
        IF v_fault = 'error' THEN
            SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = v_number, MESSAGE_TEXT = 'raised by the test';
        ELSEIF v_fault = 'held' THEN
            CALL inside_here(p_gap);
        ELSEIF v_fault = 'lock' THEN
            CALL inside_here(0);
            SELECT id INTO v_row FROM inside_rows WHERE id = 2 FOR UPDATE;
        ELSEIF v_fault = 'deadlock' THEN
            SELECT id INTO v_row FROM inside_rows WHERE id = 1 FOR UPDATE;
            CALL inside_here(0);
            SELECT id INTO v_row FROM inside_rows WHERE id = 2 FOR UPDATE;
        END IF;
    END IF;
END$$
CREATE PROCEDURE inside_trigger()
BEGIN
    DECLARE v_n, v_number INT;
    DECLARE v_fault VARCHAR(16);
    SELECT n, fault, number INTO v_n, v_fault, v_number FROM inside_rules WHERE times > 0 ORDER BY n LIMIT 1;
    IF v_fault = 'trigger' THEN
        UPDATE inside_rules SET times = times - 1 WHERE n = v_n;
        SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = v_number, MESSAGE_TEXT = 'raised by a trigger of the test';
    END IF;
END$$
CREATE PROCEDURE inside_wait(IN p_turn INT)
BEGIN
    DECLARE v_come BOOLEAN DEFAULT FALSE;
    DECLARE v_tries INT DEFAULT 0;
    REPEAT
        SELECT turn >= p_turn OR go >= 1000, v_tries + 1 INTO v_come, v_tries FROM inside_held;
        IF NOT v_come THEN DO SLEEP(0.001); END IF;
    UNTIL v_come OR v_tries > 30000 END REPEAT;
END$$
CREATE PROCEDURE inside_wait_crowd()
BEGIN
    DECLARE v_come BOOLEAN DEFAULT FALSE;
    REPEAT
        SELECT crowd OR go >= 1000 INTO v_come FROM inside_held;
        IF NOT v_come THEN DO SLEEP(0.001); END IF;
    UNTIL v_come END REPEAT;
END$$
CREATE PROCEDURE inside_go()
    UPDATE inside_held SET go = turn$$
CREATE PROCEDURE inside_kill(IN p_query BOOLEAN)
BEGIN
    DECLARE v_connection BIGINT;
    SELECT connection INTO v_connection FROM inside_held;
    IF p_query THEN KILL QUERY v_connection; ELSE KILL v_connection; END IF;
END$$
CREATE PROCEDURE inside_wait_again()
BEGIN
    DECLARE v_more BOOLEAN DEFAULT FALSE;
    DECLARE v_tries INT DEFAULT 0;
    REPEAT
        SELECT go >= 1000 OR calls < (SELECT COUNT(*) FROM inside_calls), v_tries + 1 INTO v_more, v_tries FROM inside_held;
        IF NOT v_more THEN DO SLEEP(0.001); END IF;
    UNTIL v_more OR v_tries > 3000 END REPEAT;
END$$
CREATE PROCEDURE inside_wait_waiting()
BEGIN
    DECLARE v_waiting BOOLEAN DEFAULT FALSE;
    DECLARE v_tries INT DEFAULT 0;
    REPEAT
        DO SLEEP(0.02);
        SELECT COUNT(*) > 0, v_tries + 1 INTO v_waiting, v_tries FROM information_schema.INNODB_TRX t, inside_held h
         WHERE t.trx_mysql_thread_id = h.connection AND t.trx_state = 'LOCK WAIT';
    UNTIL v_waiting OR v_tries > 25 END REPEAT;
END$$
DELIMITER ;
DO 0
SQL

sub instrument {
    my ($name) = @_;
    sql("DROP DATABASE IF EXISTS $name");
    my $made = another_database($name);
    @gaps = ();
    sql({database => $name}, $own);
    my @procedures = sql("SELECT routine_name, HEX(routine_definition), definer, sql_mode FROM information_schema.routines "
        . "WHERE routine_schema = '$name' AND routine_type = 'PROCEDURE' AND security_type = 'DEFINER' AND routine_name LIKE '%\\_v_' ORDER BY routine_name");
    for my $row (@procedures) {
        my ($procedure, $body, $definer, $mode) = @$row;
        utf8::decode($body = pack 'H*', $body);
        $definer =~ s/^(.*)\@(.*)$/'$1'\@'$2'/;
        my $parameters = join ', ', map { $_->[0] } sql("SELECT CONCAT_WS(' ', parameter_mode, parameter_name, dtd_identifier, CONCAT('CHARACTER SET ', character_set_name)) "
            . "FROM information_schema.parameters WHERE specific_schema = '$name' AND specific_name = '$procedure' ORDER BY ordinal_position");
        my $new = with_gaps($procedure, $parameters, $body);
        sql({database => $name}, "SET SESSION sql_mode = '$mode';\nDELIMITER \$\$\nDROP PROCEDURE $procedure\$\$\n"
            . "CREATE DEFINER = $definer PROCEDURE $procedure($parameters) MODIFIES SQL DATA SQL SECURITY DEFINER\n$new\$\$\nDELIMITER ;\nDO 0");
    }
    return map { {%$_, name => "$_->{procedure} $_->{number}: before " . ($_->{text} || 'the end')} } @gaps;
}

# --- what is armed, and what was seen -------------------------------------------------------------------------------------------

my $pending;

sub arm {
    my $n = 0;
    my @rules = map { sprintf '(%d, %d, "%s", %s, %d)', ++$n, $_->{gap} // 0, $_->{fault}, $_->{number} // 'NULL', $_->{times} // 1 } @_;
    sql('UPDATE inside_held SET gap = 0, turn = 0, go = 0, connection = NULL, calls = 0, crowd = FALSE; DELETE FROM inside_rules; DELETE FROM inside_seen; DELETE FROM inside_calls'
        . (@rules ? '; INSERT INTO inside_rules VALUES ' . join ',', @rules : ''));
    return;
}

sub disarm {
    sql('DELETE FROM inside_rules; UPDATE inside_held SET go = 1000');
    # one that was left, when something failed
    eval { $pending->() } if $pending && $_[0];
    return;
}

sub seen {
    my ($left) = sql('SELECT SUM(times) FROM inside_rules');
    return {
        gaps  => [map { [map { $_ + 0 } @$_] } sql('SELECT gap, connection, open FROM inside_seen ORDER BY n')],
        calls => [map { {name => $_->[0], event => $_->[1], connection => $_->[2], arguments => $_->[3]} } sql('SELECT name, HEX(event), connection, arguments FROM inside_calls ORDER BY n')],
        left  => $left->[0] // 0,
    };
}

# What a rival's inside_wait_crowd() waits for.
sub crowd_is_here { sql('UPDATE inside_held SET crowd = TRUE'); return }

# Another session: the statements, and all it holds given back at their end.
sub rival {
    my (@statements) = @_;
    my $rest = sql_later({as => 'rival'}, join ";\n", @statements, 'ROLLBACK');
    return $pending = sub { undef $pending; $rest->() };
}

sub trigger_on { my ($when, $what, $table) = @_; sql("CREATE TRIGGER inside_trigger $when $what ON $table FOR EACH ROW CALL inside_trigger()"); return }

sub trigger_off { sql('DROP TRIGGER IF EXISTS inside_trigger'); return }

1;
