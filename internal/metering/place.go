package metering

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"

	"odometer/internal/access"
	"odometer/internal/meter"
)

// The log is one for all organizations, so that its sequence tells each how
// busy the others are. Answers name places in it by numbers of the
// organization's own: the same place always has the same number, and nothing
// else follows from it. Bound keys are told no places at all, for they would
// learn of the organization's other customers.

// placesPurpose names the key of the numbers, see ledger.Secret.
const placesPurpose = "places in answers"

// placeBits is how wide the numbers are: what every JSON reader holds exactly.
const placeBits = 52

// placesOf makes an organization's numbers. They last as long as the data directory.
type placesOf struct{ block cipher.Block }

func (s *Service) placesOf(organization string) placesOf {
	mac := hmac.New(sha256.New, s.placesKey[:])
	mac.Write([]byte(organization)) // never fails
	block, err := aes.NewCipher(mac.Sum(nil)[:16])
	if err != nil { // only for a key of another length
		panic(err)
	}
	return placesOf{block}
}

// number is the organization's number of a log sequence; 0 stays 0. It is a
// permutation of placeBits bits: a Feistel network of AES.
func (p placesOf) number(sequence uint64) uint64 {
	const half = placeBits / 2
	const mask = 1<<half - 1
	if sequence == 0 || sequence >= 1<<placeBits {
		return 0
	}
	n := sequence
	for {
		left, right := n>>half&mask, n&mask
		for round := range 8 {
			var in, out [aes.BlockSize]byte
			in[0] = byte(round)
			binary.BigEndian.PutUint64(in[8:], right)
			p.block.Encrypt(out[:], in[:])
			left, right = right, left^binary.BigEndian.Uint64(out[:])&mask
		}
		if n = left<<half | right; n != 0 {
			return n
		}
	}
}

// cursorMark fills a sealed cursor up to one block; another organization's
// cursor does not show it.
var cursorMark = [4]byte{'p', 'a', 'g', 'e'}

// errCursor is what a cursor gets that was not made here.
var errCursor = meter.Errorf(meter.KindInvalid, "the cursor is not one of this list")

// seal hides the place in the ledger's cursor of a list of events.
func (p placesOf) seal(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	raw, ok := meter.ReadCursor(cursor)
	if !ok || len(raw) != aes.BlockSize-len(cursorMark) {
		return "", meter.Errorf(meter.KindInternal, "the ledger's cursor %q is not a place", cursor)
	}
	sealed := append(raw, cursorMark[:]...)
	p.block.Encrypt(sealed, sealed)
	return meter.WriteCursor(sealed), nil
}

// open is the ledger's cursor again.
func (p placesOf) open(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	raw, ok := meter.ReadCursor(cursor)
	if !ok || len(raw) != aes.BlockSize {
		return "", errCursor
	}
	p.block.Decrypt(raw, raw)
	place, mark := raw[:aes.BlockSize-len(cursorMark)], raw[aes.BlockSize-len(cursorMark):]
	if [4]byte(mark) != cursorMark {
		return "", errCursor
	}
	return meter.WriteCursor(place), nil
}

// placed is a log sequence as the principal is told it; 0 = not.
func (s *Service) placed(p access.Principal, sequence uint64) uint64 {
	if p.Customer != "" {
		return 0
	}
	return s.placesOf(p.Organization).number(sequence)
}

// seenEvent is a stored event as the principal may see it.
func (s *Service) seenEvent(p access.Principal, e *meter.EventRecord) {
	e.Sequence = s.placed(p, e.Sequence)
	if e.Voided != nil {
		v := *e.Voided
		v.Sequence = s.placed(p, v.Sequence)
		if p.Customer != "" {
			v.Actor = ""
		}
		e.Voided = &v
	}
	if p.Customer != "" {
		e.Ordinal = 0
	}
}
