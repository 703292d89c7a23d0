// Package random gives every purpose of a run its own stream of random numbers.
//
// A stream is a pure function of (seed, purpose, parts): no stream is ever advanced by another one, so the
// numbers drawn for a picture do not depend on which worker draws them, nor on what was drawn before.
package random

import (
	"hash/fnv"
	"math/rand/v2"
)

// New returns the stream named by seed, purpose and parts, for instance
// New(seed, "crop", epoch, picture). Streams that differ in any of the three are independent.
// The stream belongs to the caller and must not be shared between goroutines.
func New(seed uint64, purpose string, parts ...uint64) *rand.Rand {
	return rand.New(rand.NewPCG(Key(seed, purpose, parts...)))
}

// Key hashes (seed, purpose, parts) to the 128 bits that start a stream.
func Key(seed uint64, purpose string, parts ...uint64) (high, low uint64) {
	name := fnv.New64a()
	name.Write([]byte(purpose))
	state := mix(mix(seed) ^ name.Sum64())
	for _, part := range parts {
		state = mix(state + 0x9e3779b97f4a7c15 ^ mix(part))
	}
	return mix(state ^ 0xd1b54a32d192ed03), mix(state ^ 0x8cb92ba72f3d8dd7)
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit flips half of the output bits.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
