package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// DefaultAddress is listened on when Config.Address is empty. Loopback: what a run does is nobody else's business
// until its owner says so by naming another address.
const DefaultAddress = "127.0.0.1:9464"

// Config is the YAML section `metrics`.
type Config struct {
	Enabled           bool   `mapstructure:"enabled" doc:"serve Prometheus metrics on /metrics and health on /healthz while training"`
	InspectEverySteps int    `mapstructure:"inspect_every_steps" validate:"gte=0" doc:"steps between two closer looks: gradient norms of the tasks and their cosines on the shared trunk, size of the updates, rank and spread of the features; each costs about as much as one step; 0 = none"`
	LingerSeconds     int    `mapstructure:"linger_seconds" validate:"gte=0" doc:"seconds for which a run that has ended, well or badly, is served on, so that its last values are scraped; a signal ends them"`
	Address           string `mapstructure:"address" doc:"host:port to listen on, port 0 for any free one, empty host for all interfaces; empty = 127.0.0.1:9464, or a free port where that is taken"`
}

// DefaultConfig serves on DefaultAddress, and looks closer at every 200th step, which costs less than a hundredth.
func DefaultConfig() Config { return Config{Enabled: true, InspectEverySteps: 200} }

// Validate checks the address without opening it.
func (c Config) Validate() error {
	if c.Address == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(c.Address)
	if err != nil {
		return fmt.Errorf("metrics.address is %q: must be host:port, such as %s; leave it empty for the default", c.Address, DefaultAddress)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("metrics.address is %q: port %q must be a number from 0 (any free one) to 65535", c.Address, port)
	}
	return nil
}

// ErrAddress is wrapped by the errors of Listen about the address: bad usage, not a failure of the run.
var ErrAddress = errors.New("metrics.address cannot be listened on")

// Limits on clients; a scrape takes milliseconds and has no body.
const (
	readTimeout    = 5 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	headerLimit    = 16 << 10 // bytes
	scrapesAtOnce  = 8
	shutdownPeriod = 3 * time.Second
)

// Server serves one registry, read-only: GET and HEAD of /metrics and /healthz.
type Server struct {
	listener net.Listener
	http     *http.Server
	warning  string
}

// Listen opens the address of config, so that it is known before the run starts; Serve answers on it. If the
// default port is taken, a free one is used and Warning says so. If an address that the user named cannot be opened,
// the error wraps ErrAddress. The caller must call Serve or Close.
func Listen(config Config, registry *prometheus.Registry) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	listener, warning, err := listen(config.Address)
	if err != nil {
		return nil, err
	}
	return &Server{listener: listener, warning: warning, http: &http.Server{
		Handler:           handler(registry),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerLimit,
	}}, nil
}

func listen(address string) (listener net.Listener, warning string, err error) {
	if address != "" {
		listener, err = net.Listen("tcp", address)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %q: %w; free the port, name another, or use port 0 for any free one", ErrAddress, address, err)
		}
		return listener, "", nil
	}
	listener, err = net.Listen("tcp", DefaultAddress)
	if errors.Is(err, syscall.EADDRINUSE) {
		warning = fmt.Sprintf("the default metrics address %s is taken: using a free port; set metrics.address to choose one", DefaultAddress)
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w; set metrics.address, or metrics.enabled to false", ErrAddress, err)
	}
	return listener, warning, nil
}

func handler(registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesAtOnce}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // a client that went away is no error of ours
	})
	return mux
}

// Address is the host:port listened on, the port never 0.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Warning tells that the default port gave way to a free one; empty otherwise.
func (s *Server) Warning() string { return s.warning }

// Serve answers until ctx ends, then lets requests under way finish for a few seconds. It returns nil after a stop by
// ctx. Call it once; no goroutine outlives it.
func (s *Server) Serve(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(s.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("metrics server on %s: %w", s.Address(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownPeriod)
	defer cancel()
	if err := s.http.Shutdown(grace); err != nil {
		_ = s.http.Close() // what is still open after the grace period is cut off
	}
	<-ended
	return nil
}

// Close frees the address of a server that Serve was never called on.
func (s *Server) Close() error { return s.listener.Close() }
