package meter

import "unicode/utf8"

// PlainText says whether a text is printable and 1 to most bytes long.
func PlainText(s string, most int) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= most && utf8.ValidString(s)
}

// Clip shortens a text for a message.
func Clip(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
