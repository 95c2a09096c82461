package log

import "odometer/internal/ledger/block"

// ReadHeader reads and decodes the header of one entry.
func ReadHeader(r Reader, sequence uint64) (block.Header, error) {
	raw, err := r.Header(sequence)
	if err != nil {
		return block.Header{}, err
	}
	return block.DecodeHeader(raw)
}

// ReadBody reads the body of one entry and holds it against its header.
func ReadBody(r Reader, h *block.Header) ([]byte, error) {
	body, err := r.Body(h.Sequence)
	if err != nil {
		return nil, err
	}
	return body, h.CheckBody(body)
}
