package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"odometer/internal/intake/intaketest"
)

// TestIngestEmptyCustomer: lines that should name a customer and do not.
func TestIngestEmptyCustomer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log, table := filepath.Join(dir, "access.log"), filepath.Join(dir, "usage.csv")
	intaketest.Write(t, log, intaketest.AccessLines(0, 3)+"www.example.com "+intaketest.AccessLine(3)+strings.Replace(intaketest.AccessLine(4), " - - ", " - bob ", 1))
	intaketest.Write(t, table, "id,time,who,q\n1,2025-01-02T03:04:05Z,,1\n2,2025-01-02T03:04:05Z, ,1\n3,2025-01-02T03:04:05Z,acme,1\n")
	for _, c := range []struct {
		field, want string
		allow       bool
	}{{"host", "1 0 0 4, 3", false}, {"user", "1 0 0 4, 3", false}, {"host", "5 0 0 0, 0", true}, {"client", "5 0 0 0, 0", false}} {
		in := newIngestion(t)
		in.cmd.SubjectField, in.cmd.AllowEmptySubject = c.field, c.allow
		in.check(t, c.want, log)
		if strings.HasSuffix(c.want, "3") {
			in.says(t, "access.log:1: the customer is empty: the field "+c.field+" has none")
		}
	}
	for allow, want := range map[bool]string{false: "1 0 0 2, 3", true: "3 0 0 0, 0"} {
		in := newIngestion(t)
		in.cmd.Map, in.cmd.Type, in.cmd.Source, in.cmd.AllowEmptySubject = map[string]string{"subject": "who"}, "t", "erp", allow
		in.check(t, want, table)
	}
}

// TestIngestUnknownCustomers: a name that was typed wrong is told, or refused.
func TestIngestUnknownCustomers(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, log, "www.example.com "+intaketest.AccessLine(1)+"ac\"me.example "+intaketest.AccessLine(2)+"rival.example "+intaketest.AccessLine(3)+"rival.example "+intaketest.AccessLine(4))
	asked := 0
	catalog := func(err error) func(context.Context, string) (bool, error) {
		return func(_ context.Context, customer string) (bool, error) {
			asked++
			return customer == "www.example.com", err
		}
	}
	in := newIngestion(t)
	in.cmd.SubjectField, in.cmd.customers = "host", catalog(nil)
	in.check(t, "3 0 0 1, 3", log) // a quote is no part of a host
	in.says(t, `2 lines name customers that the catalog does not have: "rival.example" (2)`)
	if asked != 2 {
		t.Errorf("%d look-ups", asked)
	}
	in = newIngestion(t)
	in.cmd.SubjectField, in.cmd.customers, in.cmd.KnownCustomers = "host", catalog(nil), true
	in.check(t, "1 0 0 3, 3", log)
	in.says(t, `access.log:3: customer "rival.example" is not in the catalog`)
	in = newIngestion(t)
	in.cmd.Subject, in.cmd.customers = "acmee", catalog(errors.New("forbidden"))
	in.check(t, "3 0 0 1, 3", log) // it cannot be told
	in.cmd.KnownCustomers, in.cmd.FromStart = true, true
	in.check(t, "0 0 0 0, 1", log)
	in.says(t, `cannot look customer "acmee" up`)
}

// TestIngestServerKnowsCustomers asks a real server.
func TestIngestServerKnowsCustomers(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	log := filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, log, intaketest.AccessLines(0, 3))
	ingest := func(flags ...string) (int, string) {
		code, _, errs := command(t, s.as(s.adminKey), append([]string{"ingest", "--state", t.TempDir(), "--subject", "acmee", log}, flags...)...)
		return code, errs
	}
	if code, errs := ingest(); code != exitOK || strings.Contains(errs, "catalog") {
		t.Errorf("without customers: %d %s", code, errs)
	}
	s.post("/api/v1/customers", s.adminKey, "application/json", `{"id":"acme"}`)
	if code, errs := ingest(); code != exitOK || !strings.Contains(errs, `"acmee" (3)`) {
		t.Errorf("a warning: %d %s", code, errs)
	}
	if code, errs := ingest("--known-customers"); code != exitDisagrees || !strings.Contains(errs, `customer "acmee" is not in the catalog`) {
		t.Errorf("refused: %d %s", code, errs)
	}
	s.stop()
}

// TestIngestUnderAnotherSource: lines that were counted under one name are held under another.
func TestIngestUnderAnotherSource(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, log, intaketest.AccessLines(0, 20))
	in := newIngestion(t)
	in.check(t, "20 0 0 0, 0", log)
	in.says(t, "neither --subject nor --subject-field is given")
	in.cmd.Source = "web-1"
	in.check(t, "0 0 0 0, 3", log)
	in.says(t, "its lines were counted as the source that is made from the file: under another source they would count twice")
	in.cmd.Rewritten = "count"
	in.check(t, "20 0 0 0, 0", log)
	in.cmd.Source, in.cmd.Rewritten = "web-2", "auto"
	in.check(t, "0 0 0 0, 3", log)
	in.cmd.Source = "web-1"
	appendLog(t, log, intaketest.AccessLines(20, 22))
	in.check(t, "2 0 0 0, 0", log)
	// Another log that starts with the same line is another machine's.
	other := filepath.Join(t.TempDir(), "access.log")
	intaketest.Write(t, other, intaketest.AccessLine(0)+intaketest.AccessLines(50, 60))
	in.cmd.Source = "web-3"
	in.check(t, "11 0 0 0, 0", other)
}

// TestIngestFirstLineCannotBeRead: one bad line is one bad line, also for auto.
func TestIngestFirstLineCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{
		"a comment": "#Fields: date time\n", "a cut line": `.1 200 5 "-" "ua"` + "\n",
		"a name with a time": `10.0.0.1 - x [10/Oct/2025:00:00:00 +0000] y [10/Oct/2025:00:00:00 +0000] "GET / HTTP/1.1" 200 1` + "\n",
	} {
		log := filepath.Join(t.TempDir(), "access.log")
		intaketest.Write(t, log, first+intaketest.AccessLines(0, 3))
		in := newIngestion(t)
		in.check(t, "3 0 0 1, 3", log)
		in.cmd.Source, in.stdin = "pipe", first+intaketest.AccessLines(0, 3)
		in.check(t, "3 0 0 1, 3", "-")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestIngestUselessFlags: a flag that a format has no use for is an error, not silence.
func TestIngestUselessFlags(t *testing.T) {
	t.Parallel()
	events := filepath.Join(t.TempDir(), "plain.ndjson")
	intaketest.Write(t, events, "{\"account\":\"acme\",\"q\":1}\n")
	in := newIngestion(t)
	in.cmd.Map = map[string]string{"subject": "account"}
	in.check(t, "0 0 0 0, 2", events)
	in.says(t, "--map does nothing for ndjson: its lines are CloudEvents")
	in = newIngestion(t)
	in.cmd.Subject = "acme"
	in.check(t, "0 0 0 0, 2", events)
	in.says(t, "--subject does nothing for ndjson")
	table, other := filepath.Join(t.TempDir(), "t.csv"), filepath.Join(t.TempDir(), "u.csv")
	intaketest.Write(t, table, "time,type\n2026-11-01T00:00:00Z,x\n")
	intaketest.Write(t, other, "when,type\n2026-11-01T00:00:00Z,x\n")
	in = newIngestion(t)
	in.cmd.Map = map[string]string{"time": "when"}
	in.check(t, "0 0 0 0, 2", table)
	in.says(t, `map: time=when: the header has no column "when"`)
	in.check(t, "1 0 0 0, 1", table, other) // one was sent
}

// TestIngestEncodings: how the bytes of a file are written.
func TestIngestEncodings(t *testing.T) {
	t.Parallel()
	lines := intaketest.AccessLines(0, 3)
	utf16 := func(order string) string {
		var b strings.Builder
		for _, c := range []byte(lines) {
			if order == "little" {
				b.Write([]byte{c, 0})
			} else {
				b.Write([]byte{0, c})
			}
		}
		return b.String()
	}
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed, zstd.WithWindowSize(128<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write([]byte(lines)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want, says string }{
		"LF":                   {lines, "3 0 0 0, 0", ""},
		"CR LF":                {strings.ReplaceAll(lines, "\n", "\r\n"), "3 0 0 0, 0", ""},
		"CR":                   {strings.ReplaceAll(lines, "\n", "\r"), "3 0 0 0, 0", ""},
		"a byte order mark":    {"\ufeff" + lines, "3 0 0 0, 0", ""},
		"UTF-16 LE":            {"\xff\xfe" + utf16("little"), "0 0 0 0, 1", "iconv -f UTF-16"},
		"UTF-16 BE":            {"\xfe\xff" + utf16("big"), "0 0 0 0, 1", "iconv -f UTF-16"},
		"UTF-16 without mark":  {utf16("little"), "0 0 0 0, 1", "iconv -f UTF-16"},
		"zstd, window 128 MiB": {packed.String(), "3 0 0 0, 0", ""},
		"pzstd":                {"\x50\x2a\x4d\x18\x04\x00\x00\x00\x10\x00\x00\x00" + packed.String(), "3 0 0 0, 0", ""},
		"xz":                   {"\xfd7zXZ\x00\x00\x04", "0 0 0 0, 1", "compressed with xz, which is not read: unpack it (xz -dc FILE"},
		"bzip2":                {"BZh91AY&SY", "0 0 0 0, 1", "compressed with bzip2"},
		"lz4":                  {"\x04\x22\x4d\x18\x64\x40", "0 0 0 0, 1", "compressed with lz4"},
		"zip":                  {"PK\x03\x04\x14\x00", "0 0 0 0, 1", "compressed with zip"},
	} {
		for _, path := range []string{filepath.Join(t.TempDir(), "access.log"), "-"} {
			in := newIngestion(t)
			in.cmd.Format = "combined"
			if in.stdin = c.text; path == "-" {
				in.cmd.Source = "pipe"
			} else {
				intaketest.Write(t, path, c.text)
			}
			in.check(t, c.want, path)
			if in.says(t, c.says); t.Failed() {
				t.Fatalf("%s, %s", name, path)
			}
			if path != "-" && strings.HasSuffix(c.want, "0") {
				in.check(t, "0 0 0 0, 0", path) // known
			}
		}
	}
}

// TestIngestTables reads tables as spreadsheets and people write them.
func TestIngestTables(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want, subject, says string }{
		"blanks after commas": {"id, subject, time, q\n1, acme, 2025-01-02T03:04:05Z, 5\n", "1 0 0 0, 0", "acme", ""},
		"blanks and quotes":   {"id , \"subject\" ,time,q\n1 , \"acme inc\" ,2025-01-02T03:04:05Z, \" 5\"\n", "1 0 0 0, 0", "acme inc", ""},
		"names without text":  {"id,subject,time,q,,\n1,acme,2025-01-02T03:04:05Z,5,,\n", "1 0 0 0, 0", "acme", ""},
		"Windows-1252":        {"id,subject,time,q\n1,Caf\xe9,2025-01-02T03:04:05Z,5\n2,acme,2025-01-02T03:04:05Z,5\n", "1 0 0 1, 3", "", `field 2 is not UTF-8: "Caf\xe9"`},
		"CR alone":            {"id,subject,time,q\r1,acme,2025-01-02T03:04:05Z,5\r", "1 0 0 0, 0", "acme", ""},
		"a quoted line break": {"id,subject,time,q\n1, \"acme\ninc\",2025-01-02T03:04:05Z,5\n", "1 0 0 0, 0", `acme\u000Ainc`, ""},
		"two equal names":     {"id,q,time,q\n1,1,2025-01-02T03:04:05Z,5\n", "0 0 0 0, 1", "", `two columns are named "q"`},
	} {
		table := filepath.Join(t.TempDir(), "usage.csv")
		intaketest.Write(t, table, c.text)
		in := newIngestion(t)
		in.cmd.Type, in.cmd.Source = "t", "erp"
		in.check(t, c.want, table)
		in.says(t, c.says)
		if event := in.server.content["erp 1"]; c.subject != "" && !strings.Contains(event, `"subject":"`+c.subject+`"`) {
			t.Errorf("event %s", event)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

// TestIngestFlagsOfSafety: what shall keep lines from counting wrongly is never passed over.
func TestIngestFlagsOfSafety(t *testing.T) {
	t.Parallel()
	events := filepath.Join(t.TempDir(), "plain.ndjson")
	intaketest.Write(t, events, `{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"acmee","time":"2026-11-01T00:00:00Z"}`+"\n")
	in := newIngestion(t)
	in.cmd.KnownCustomers = true
	in.check(t, "0 0 0 0, 2", events)
	in.says(t, "--known-customers does nothing for ndjson")
	in = newIngestion(t)
	in.cmd.AllowEmptySubject = true
	in.check(t, "0 0 0 0, 2", events)

	table := filepath.Join(t.TempDir(), "t.csv")
	intaketest.Write(t, table, "time,type,calls\n2026-11-01T00:00:00Z,x,1\n")
	in = newIngestion(t)
	in.cmd.Map = map[string]string{"subject": "const:"}
	in.check(t, "0 0 0 0, 2", table)
	in.says(t, `map: subject=const: has no text`)
	in.cmd.AllowEmptySubject = true
	in.check(t, "1 0 0 0, 0", table)

	for _, flags := range [][]string{{"--map", "id=calls,id=type"}, {"--map", "id=calls", "--map", "id=type"}, {"--map", ""}, {"--map", "calls"}} {
		args := append([]string{"ingest", "--url", "http://127.0.0.1:1", "--state", t.TempDir(), table}, flags...)
		code, _, errs := command(t, nil, args...)
		if code != exitUsage || !strings.Contains(errs, "map") {
			t.Errorf("%q: exit code %d: %s", flags, code, errs)
		}
	}
}

// TestIngestNothingYet: a file of which no record can be read yet says what is the matter with it.
func TestIngestNothingYet(t *testing.T) {
	t.Parallel()
	table := filepath.Join(t.TempDir(), "t.csv")
	in := newIngestion(t)
	in.cmd.Type = "x"
	intaketest.Write(t, table, "time,calls\n")
	in.cmd.JSON = false
	if _, code := in.run(t, t.Context(), table); code != exitOK || strings.Contains(in.stdout.String(), "waits") {
		t.Errorf("a header alone: exit code %d\n%s", code, in.stdout.String())
	}
	intaketest.Write(t, table, "time,calls\n2026-11-01T00:00:00Z,1")
	if _, code := in.run(t, t.Context(), table); code != exitOK || !strings.Contains(in.stdout.String(), "line 2 waits") {
		t.Errorf("no newline: exit code %d\n%s", code, in.stdout.String())
	}
	in.cmd.JSON = true
	intaketest.Write(t, table, "time,calls\n\"2026-11-01T00:00:00Z,1\n2026-11-01T00:00:00Z,1\n")
	in.check(t, "0 0 0 0, 3", table)
	in.says(t, "line 2 opens a quote that is not closed yet")

	for _, start := range []string{"\x1f\x8b", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x00", "\x28\xb5\x2f\xfd\xa4\x49"} {
		intaketest.Write(t, table+".gz", start)
		in.check(t, "0 0 0 0, 1", table+".gz")
		in.says(t, "the compressed file ends early")
	}
}

// TestIngestTabs: fields of a .tsv stand between tabs; a header of one name asks for its delimiter.
func TestIngestTabs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const tabs = "time\ttype\tcalls\n2026-11-01T00:00:00Z\tx\t1\n"
	in := newIngestion(t)
	in.cmd.Delimiter = ""
	for _, name := range []string{"a.tsv", "b.TSV.1"} {
		intaketest.Write(t, filepath.Join(dir, name), tabs+strings.Repeat("\n", len(name)))
	}
	in.check(t, "1 0 0 0, 0", filepath.Join(dir, "a.tsv"))
	in.check(t, "0 0 0 0, 0", filepath.Join(dir, "b.TSV.1")) // known
	intaketest.Write(t, filepath.Join(dir, "c.csv"), tabs)
	intaketest.Write(t, filepath.Join(dir, "d.csv"), strings.ReplaceAll(tabs, "\t", ";"))
	for _, name := range []string{"c.csv", "d.csv"} {
		in.check(t, "0 0 0 0, 1", filepath.Join(dir, name))
		in.says(t, "give --delimiter")
	}
}
