// Package eventfiles holds event files and our definitions of their messages against TensorFlow's own definitions, as a module
// of the Go proxy has them compiled. It has tests alone.
package eventfiles
