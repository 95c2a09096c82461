// Package state is the form of what the fold keeps: keys, records, verdicts,
// and where cells lie. Who folds and who checks the fold share it, and nothing else.
package state

import (
	"encoding/binary"

	"odometer/internal/ledger/block"
)

// Keys of the state instance: the byte that each begins with. org is uvarint(len) followed by the bytes, so
// that one organization's keys never share a prefix with another's. Values are
// described in docs/format-state.md.
//
//	'A'                                   -> checkpoint record
//	'c' <cell key>                        -> day chunk, see package cell
//	'd' org text                          -> number of the text
//	'D' number:8                          -> text
//	'g' version:4 number:8...             -> empty; a group that a crowded meter keeps apart
//	'G' version:4                         -> how many groups the meter has seen
//	'h' org seq:8                         -> block header (a copy, for scans)
//	'j' seq:8                             -> verdicts of a block, absent when all accepted
//	'k' org hash:12 seq:8 ord:4           -> empty; a conflict with that identity
//	'm' org key                           -> meter record
//	'o' org                               -> organization record
//	'V' seq:8 ord:4                       -> void record of that event
//	'y' version:4 slot:4 number:8...      -> sequence:8 of the last void that made this group's slot dirty
const (
	KeyCheckpoint   = 'A'
	KeyCell         = 'c'
	KeyText         = 'd'
	KeyTextByNumber = 'D'
	KeyGroup        = 'g'
	KeyGroupCount   = 'G'
	KeyHeader       = 'h'
	KeyVerdicts     = 'j'
	KeyConflict     = 'k'
	KeyMeter        = 'm'
	KeyOrg          = 'o'
	KeyVoided       = 'V'
	KeyDirty        = 'y'
)

// AppendOrg appends an organization's name as keys have it.
func AppendOrg(dst []byte, org string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(org)))
	return append(dst, org...)
}

// CutOrg reads what AppendOrg wrote and returns what is behind it.
func CutOrg(b []byte) (org string, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || uint64(len(b)-k) < n {
		return "", nil, false
	}
	return string(b[k : k+int(n)]), b[k+int(n):], true
}

// OrgKey is a key of something that an organization has one or many of.
func OrgKey(prefix byte, org string, tail string) []byte {
	k := AppendOrg(append(make([]byte, 0, 12+len(org)+len(tail)), prefix), org)
	return append(k, tail...)
}

// SeqKey is a key of one block, or of one numbered text.
func SeqKey(prefix byte, seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, seq)
}

// HeaderKey is the key of the copy of a block's header.
func HeaderKey(org string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(OrgKey(KeyHeader, org, ""), seq)
}

// AppendHash appends an identity as keys have it.
func AppendHash(dst []byte, h block.Hash) []byte {
	dst = binary.BigEndian.AppendUint64(dst, h.Hi)
	return binary.BigEndian.AppendUint32(dst, h.Lo)
}

// ConflictKey is the key of a conflict with an identity.
func ConflictKey(org string, h block.Hash, seq uint64, ord uint32) []byte {
	k := AppendHash(OrgKey(KeyConflict, org, ""), h)
	k = binary.BigEndian.AppendUint64(k, seq)
	return binary.BigEndian.AppendUint32(k, ord)
}

// VoidedKey is the key of the void record of one event.
func VoidedKey(seq uint64, ord uint32) []byte {
	return binary.BigEndian.AppendUint32(SeqKey(KeyVoided, seq), ord)
}

// VersionKey is a key of a meter's version, or the prefix of its keys.
func VersionKey(prefix byte, version uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{prefix}, version)
}

// GroupKey is the key of a group that a meter keeps apart.
func GroupKey(version uint32, group []uint64) []byte {
	k := VersionKey(KeyGroup, version)
	for _, g := range group {
		k = binary.BigEndian.AppendUint64(k, g)
	}
	return k
}

// UpperBound returns the first key after all keys with the prefix.
func UpperBound(prefix []byte) []byte {
	up := append([]byte(nil), prefix...)
	for i := len(up) - 1; i >= 0; i-- {
		if up[i] != 0xff {
			up[i]++
			return up[:i+1]
		}
	}
	return nil
}
