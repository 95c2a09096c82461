package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"odometer/internal/meter"
)

// SecretKeyFile is the name of the key file in the folder of an SQLite
// catalog, where Options.SecretKeyFile names no other.
const SecretKeyFile = "secret.key"

// secretKeyBytes is the length of the key file: one key of AES-256.
const secretKeyBytes = 32

// sealer encrypts secrets with AES-256-GCM under a key file, which is made
// when the first secret is sealed.
type sealer struct {
	path string // "" = there is none
	mu   sync.Mutex
	aead cipher.AEAD // nil until the file was read
}

// seal encrypts a secret that belongs to a name: a random nonce, then the
// sealed text, which opens under the same name only.
func (s *sealer) seal(secret, name string) ([]byte, error) {
	aead, err := s.key(true)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce) // never fails: the program ends instead
	return aead.Seal(nonce, nonce, []byte(secret), []byte(name)), nil
}

// open is the reverse of seal.
func (s *sealer) open(sealed []byte, name string) (string, error) {
	aead, err := s.key(false)
	if err != nil {
		return "", err
	}
	if len(sealed) < aead.NonceSize() {
		return "", meter.Errorf(meter.KindCorrupt, "a sealed secret is too short")
	}
	nonce, text := sealed[:aead.NonceSize()], sealed[aead.NonceSize():]
	secret, err := aead.Open(nil, nonce, text, []byte(name))
	if err != nil {
		return "", meter.WrapError(meter.KindCorrupt, err, "a secret was sealed under another key file than %s", s.path)
	}
	return string(secret), nil
}

// key reads the key file, once, and makes it if it may.
func (s *sealer) key(create bool) (cipher.AEAD, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aead != nil {
		return s.aead, nil
	}
	if s.path == "" {
		return nil, meter.Errorf(meter.KindInvalid, "EdgeGrid keys need a secret key file, and none is set")
	}
	key, err := readSecretKey(s.path)
	if errors.Is(err, fs.ErrNotExist) && create {
		if err = writeSecretKey(s.path); err == nil {
			key, err = readSecretKey(s.path)
		}
	}
	if err != nil {
		var known *meter.Error
		if errors.As(err, &known) {
			return nil, err
		}
		return nil, meter.WrapError(meter.KindInternal, err, "cannot use the secret key file %s", s.path)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, meter.WrapError(meter.KindInternal, err, "cannot use the secret key file %s", s.path)
	}
	s.aead, err = cipher.NewGCM(block)
	return s.aead, err
}

func readSecretKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, meter.Errorf(meter.KindInvalid, "others may read the secret key file %s: make its mode 0600, chmod 600 %s", path, path)
	}
	key, err := os.ReadFile(path)
	if err == nil && len(key) != secretKeyBytes {
		return nil, meter.Errorf(meter.KindInvalid, "the secret key file %s has %d bytes, not %d", path, len(key), secretKeyBytes)
	}
	return key, err
}

// writeSecretKey makes the key file, durably and at once with all its bytes;
// if another process was faster, that one's stays.
func writeSecretKey(path string) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(file.Name())) }()
	key := make([]byte, secretKeyBytes)
	rand.Read(key)
	_, err = file.Write(key)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
