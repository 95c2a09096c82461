//go:build unix

package main

import (
	"io/fs"
	"syscall"
)

func ownedByRoot(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0
}

// keepPrivate makes every file that the program makes its owner's only.
func keepPrivate() { syscall.Umask(othersMay) }
