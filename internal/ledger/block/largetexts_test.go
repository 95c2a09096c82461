package block

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// largeText is text i of several kinds: each kind has its form in the log.
var largeText = map[string]func(i int) []byte{
	"alike": func(i int) []byte { return fmt.Appendf(nil, "%07d%s", i, strings.Repeat("x", 32<<10-7)) },
	"of few letters": func(i int) []byte {
		r := uint32(i)*2654435761 + 1
		b := make([]byte, 32<<10)
		for j := range b {
			r = r*1664525 + 1013904223
			b[j] = "0123456789abcdef"[r>>28]
		}
		return b
	},
	"of all bytes": func(i int) []byte {
		r := uint32(i)*2654435761 + 1
		b := make([]byte, 32<<10)
		for j := range b {
			r = r*1664525 + 1013904223
			b[j] = byte(r >> 24)
		}
		return b
	},
	"with a long start": func(i int) []byte { return fmt.Appendf(nil, "%s%015d", strings.Repeat("y", 16<<10), i*i*i) },
}

func stageLarge(t *testing.T, n int, text func(i int) []byte) *Rows {
	t.Helper()
	b := NewBuilder(testKey, "acme", "")
	for i := range n {
		b.Begin()
		b.Progress(i*(32<<10+100)+1, (n-i)*(32<<10+100))
		b.PutString(b.Attr([]byte("a")), text(i))
		if err := b.Commit(&Envelope{Source: []byte("s"), ID: fmt.Append(nil, i), Type: []byte("t"), Time: testAccepted}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Rows()
}

// TestLargeTexts stores columns of more text than is compressed or packed at once.
func TestLargeTexts(t *testing.T) {
	t.Parallel()
	for name, text := range largeText {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 150
			body := Encode(nil, stageLarge(t, n, text))
			rows, err := Decode(body, testKey, true, testAccepted)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if got := rows.Columns[0].Value(i).Str; got != string(text(i)) {
					t.Fatalf("text %d has %d bytes and begins with %.40q, want %d and %.40q", i, len(got), got, len(text(i)), text(i))
				}
			}
			if again := Encode(nil, stageLarge(t, n, text)); !bytes.Equal(body, again) {
				t.Fatal("the same rows are stored in other bytes")
			}
		})
	}
}

// TestMemoryOfLargeTexts has no parallel tests beside it, whose memory it would count.
func TestMemoryOfLargeTexts(t *testing.T) {
	const n = 600 // 19 MiB
	text := largeText["alike"]
	texts := make([][]byte, n)
	for i := range texts {
		texts[i] = text(i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	body := Encode(nil, stageLarge(t, n, func(i int) []byte { return texts[i] }))
	runtime.ReadMemStats(&after)
	most := uint64(n * (32 << 10) * 3 / 2)
	if raced {
		most *= 2
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > most {
		t.Errorf("%d bytes of text take %d bytes of memory, more than %d (stored: %d)", n*(32<<10), took, most, len(body))
	}
}

// TestRoomForManyColumns: what is to come is made room for once, not for each
// column that has been large so far.
func TestRoomForManyColumns(t *testing.T) {
	t.Parallel()
	const columns, first, second = 60, 260_000, 10_000
	const body = columns * (first + second)
	b := NewBuilder(testKey, "acme", "")
	read := 1
	for i := range columns {
		for j, n := range []int{first, second} {
			b.Begin()
			b.Progress(read, body-read)
			b.PutString(b.Attr(fmt.Append(nil, "a", i)), bytes.Repeat([]byte{byte('a' + j)}, n))
			if err := b.Commit(&Envelope{Source: []byte("s"), ID: fmt.Append(nil, i, j), Type: []byte("t"), Time: testAccepted}); err != nil {
				t.Fatal(err)
			}
			read += n
		}
	}
	if has, most := b.memory(), body*5/2; has > most {
		t.Errorf("%d bytes of text take %d bytes of memory, more than %d", body, has, most)
	}
}
