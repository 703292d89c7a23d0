//go:build !linux || !amd64

package kernel

import "errors"

// requestTiles asks the operating system to let this process use the tile registers.
func requestTiles() error { return errors.ErrUnsupported }
