//go:build race

package block

// raced says that the race detector runs. With it the compiler makes what an
// append adds room for before it makes the room, so growing takes twice the memory.
const raced = true
