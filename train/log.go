package train

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"pretrain/internal/terminal"
	"pretrain/page"
)

// newLogger logs to the console, for people unless the configuration asks for JSON, to the live page, and as JSON, one
// object a line, to the file. JSON lines carry the id of the run, by which a collector of many runs' logs tells them apart.
func newLogger(config LoggingConfig, run string, console io.Writer, file *lateFile, live *page.Hub) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(config.Level)
	if err != nil {
		return nil, Usage(fmt.Errorf("logging.level is %q: must be debug, info, warn or error", config.Level))
	}
	lines := func(to io.Writer) zapcore.Core {
		core := zapcore.NewCore(zapcore.NewJSONEncoder(fileEncoding()), zapcore.AddSync(to), level)
		return core.With([]zapcore.Field{zap.String("run", run)})
	}
	people := func(to io.Writer) zapcore.Core {
		return zapcore.NewCore(zapcore.NewConsoleEncoder(consoleEncoding()), zapcore.AddSync(to), level)
	}
	shown := people(console)
	if config.Format == formatJSON {
		shown = lines(console)
	}
	return zap.New(zapcore.NewTee(shown, people(live), lines(file))), nil
}

// formatJSON is the logging.format of consoles that programs read.
const formatJSON = "json"

// progressHook tells how far the run is, in lines of the log where programs read the console.
func (s *session) progressHook() Hook {
	if s.job.Logging.Format != formatJSON {
		return s.progress
	}
	told := time.Now()
	return hookFunc(func(_ context.Context, report StepReport) error {
		if position := report.Position; time.Since(told) >= terminal.LinePeriod || position.Done() {
			told = time.Now()
			s.log.Info("progress", zap.Int("step", position.Step), zap.Int("steps", position.Steps), zap.Float64("loss", report.Loss))
		}
		return nil
	})
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
