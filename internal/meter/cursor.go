package meter

import "encoding/base64"

// WriteCursor renders a place in a list as text for a URL.
func WriteCursor(place []byte) string { return base64.RawURLEncoding.EncodeToString(place) }

// ReadCursor reads what WriteCursor renders and nothing else: the decoder,
// strict as it may be, passes over line ends.
func ReadCursor(text string) (place []byte, ok bool) {
	place, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || WriteCursor(place) != text {
		return nil, false
	}
	return place, true
}
