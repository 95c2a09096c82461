package keys

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// A token is odo_ID_SECRET: the key's public id and its secret, both of
// letters and digits only, so that a double click takes the whole of it.
// 43 of 62 characters hold 256.03 random bits, the id's 16 hold 95.
const (
	tokenPrefix  = "odo_"
	keyIDBytes   = 16
	secretBytes  = 43
	tokenBytes   = len(tokenPrefix) + keyIDBytes + 1 + secretBytes
	tokenLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// parseToken splits a token into its key's id and its secret. It does not allocate.
func parseToken(token string) (id, secret string, ok bool) {
	if len(token) != tokenBytes || !strings.HasPrefix(token, tokenPrefix) {
		return "", "", false
	}
	id, secret = token[len(tokenPrefix):len(tokenPrefix)+keyIDBytes], token[tokenBytes-secretBytes:]
	if token[tokenBytes-secretBytes-1] != '_' || !alphanumeric(id) || !alphanumeric(secret) {
		return "", "", false
	}
	return id, secret, true
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		if strings.IndexByte(tokenLetters, s[i]) < 0 {
			return false
		}
	}
	return true
}

// formatToken is the reverse of parseToken.
func formatToken(id, secret string) string { return tokenPrefix + id + "_" + secret }

// hashSecret is what is stored of a secret. A slow hash would add nothing: the
// secret is random, not chosen by a person.
func hashSecret(secret string) [sha256.Size]byte {
	var buf [secretBytes]byte
	return sha256.Sum256(buf[:copy(buf[:], secret)])
}

// randomText returns n letters and digits, each as likely as any other.
func randomText(n int) string {
	text := make([]byte, 0, n)
	var random [64]byte
	for {
		rand.Read(random[:]) // never fails: the program ends instead
		for _, b := range random {
			// 248 is 4*62: the bytes above would favour the first letters.
			if b < 248 {
				text = append(text, tokenLetters[b%62])
			}
			if len(text) == n {
				return string(text)
			}
		}
	}
}
