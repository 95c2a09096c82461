//go:build unix

package intake

import (
	"os"
	"syscall"
)

func fileID(info os.FileInfo) FileID {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return FileID{Device: uint64(st.Dev), Inode: st.Ino}
	}
	return FileID{}
}
