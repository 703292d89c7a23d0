package train

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newLogger logs for people on the console and as JSON, one object a line, to the file.
func newLogger(level string, console io.Writer, file *lateFile) (*zap.Logger, error) {
	parsed, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, Usage(fmt.Errorf("logging.level is %q: must be debug, info, warn or error", level))
	}
	return zap.New(zapcore.NewTee(
		zapcore.NewCore(zapcore.NewConsoleEncoder(consoleEncoding()), zapcore.AddSync(console), parsed),
		zapcore.NewCore(zapcore.NewJSONEncoder(fileEncoding()), zapcore.AddSync(file), parsed),
	)), nil
}

// consoleEncoding leaves out what a person at a terminal does not need: dates and callers.
func consoleEncoding() zapcore.EncoderConfig {
	return zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", MessageKey: "message", ConsoleSeparator: "  ",
		EncodeTime:     zapcore.TimeEncoderOfLayout("15:04:05"),
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
	}
}

func fileEncoding() zapcore.EncoderConfig {
	encoding := zap.NewProductionEncoderConfig()
	encoding.TimeKey, encoding.MessageKey = "time", "message"
	encoding.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return encoding
}

// lateFile is a log file that need not exist yet: a run is checked, and says what it finds, before anything is written
// to its directory. It may be used by many goroutines.
type lateFile struct {
	mutex  sync.Mutex
	before bytes.Buffer // written before open
	file   *os.File
}

// Write appends to the file, or remembers what will be.
func (l *lateFile) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.file == nil {
		return l.before.Write(line)
	}
	return l.file.Write(line)
}

// open appends what was written so far to the file at path, and everything that follows.
func (l *lateFile) open(path string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	l.file = file
	_, err = file.Write(l.before.Bytes())
	return err
}

func (l *lateFile) close() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.file != nil {
		l.file.Close()
	}
}
