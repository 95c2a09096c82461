package ledger

import (
	"encoding/binary"

	"odometer/internal/ledger/block"
)

// Keys of the state instance. org is uvarint(len) followed by the bytes, so
// that one organization's keys never share a prefix with another's. Values are
// described in docs/format-state.md.
//
//	'A'                                   -> checkpoint record
//	'c' <cell key>                        -> day chunk, see package cell
//	'd' org text                          -> number of the text
//	'D' number:8                          -> text
//	'g' version:4 number:8...             -> empty; a group the meter keeps apart
//	'h' org seq:8                         -> block header (a copy, for scans)
//	'j' seq:8                             -> verdicts of a block, absent when all accepted
//	'k' org hash:12 seq:8 ord:4           -> empty; a conflict with that identity
//	'm' org key                           -> meter record
//	'o' org                               -> organization record
//	'V' seq:8 ord:4                       -> void record of that event
//	'y' version:4 slot:4 number:8...      -> sequence:8 of the last void that made this group's slot dirty
const (
	keyCheckpoint   = 'A'
	keyCell         = 'c'
	keyText         = 'd'
	keyTextByNumber = 'D'
	keyGroup        = 'g'
	keyHeader       = 'h'
	keyVerdicts     = 'j'
	keyConflict     = 'k'
	keyMeter        = 'm'
	keyOrg          = 'o'
	keyVoided       = 'V'
	keyDirty        = 'y'
)

func appendOrg(dst []byte, org string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(org)))
	return append(dst, org...)
}

func cutOrg(b []byte) (org string, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || uint64(len(b)-k) < n {
		return "", nil, false
	}
	return string(b[k : k+int(n)]), b[k+int(n):], true
}

func orgKey(prefix byte, org string, tail string) []byte {
	k := appendOrg(append(make([]byte, 0, 12+len(org)+len(tail)), prefix), org)
	return append(k, tail...)
}

func seqKey(prefix byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, seq)
}

func headerKey(org string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(orgKey(keyHeader, org, ""), seq)
}

func appendHash(dst []byte, h block.Hash) []byte {
	dst = binary.BigEndian.AppendUint64(dst, h.Hi)
	return binary.BigEndian.AppendUint32(dst, h.Lo)
}

func conflictKey(org string, h block.Hash, seq uint64, ord uint32) []byte {
	k := appendHash(orgKey(keyConflict, org, ""), h)
	k = binary.BigEndian.AppendUint64(k, seq)
	return binary.BigEndian.AppendUint32(k, ord)
}

func voidedKey(seq uint64, ord uint32) []byte {
	return binary.BigEndian.AppendUint32(seqKey(keyVoided, seq), ord)
}

func groupKey(version uint32, group []uint64) []byte {
	k := binary.BigEndian.AppendUint32([]byte{keyGroup}, version)
	for _, g := range group {
		k = binary.BigEndian.AppendUint64(k, g)
	}
	return k
}
