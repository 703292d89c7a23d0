package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
)

// DefaultAddress is listened on when Config.Address is empty. Loopback: what a run does is nobody else's business
// until its owner says so by naming another address.
const DefaultAddress = "127.0.0.1:9464"

// Config is the YAML section `metrics`.
type Config struct {
	Enabled   bool   `mapstructure:"enabled" doc:"serve a live page on /, Prometheus metrics on /metrics and health on /healthz while training"`
	Address   string `mapstructure:"address" doc:"host:port to listen on, port 0 for any free one, empty host for all interfaces; empty = 127.0.0.1:9464, or a free port where that is taken"`
	WebConfig string `mapstructure:"web_config" doc:"web configuration file of Prometheus exporters: TLS certificate (tls_server_config) and users with bcrypt passwords (basic_auth_users); empty = neither"`
	Profiles  bool   `mapstructure:"pprof" doc:"serve Go profiles under /debug/pprof/, on a loopback address or to those who know a password of web_config"`
	Pictures  bool   `mapstructure:"pictures" doc:"show pictures of the data on the live page, in the report and in TensorBoard files"`

	InspectEverySteps int `mapstructure:"inspect_every_steps" validate:"gte=0" doc:"steps between two closer looks: gradient norms of the tasks and their cosines on the shared trunk, size of the updates, rank and spread of the features; each costs about as much as two steps; 0 = none"`
	LingerSeconds     int `mapstructure:"linger_seconds" validate:"gte=0" doc:"seconds for which a run that has ended, well or badly, is served on, so that its last values are scraped; a signal ends them"`

	Push        PushConfig        `mapstructure:"push" doc:"series of runs that end before they are scraped"`
	RemoteWrite RemoteWriteConfig `mapstructure:"remote_write" doc:"series of runs that cannot be reached by those who scrape"`
}

// DefaultConfig serves on DefaultAddress, and looks closer at every 300th step, which costs less than a hundredth.
func DefaultConfig() Config {
	return Config{
		Enabled: true, Pictures: true, InspectEverySteps: 300, Push: DefaultPushConfig(), RemoteWrite: DefaultRemoteWriteConfig(),
	}
}

// Validate checks the section without opening the address or a file.
func (c Config) Validate() error {
	if err := c.validateAddress(); err != nil {
		return err
	}
	if c.Profiles && c.WebConfig == "" && !c.onLoopback() {
		return fmt.Errorf("metrics.pprof is true, but metrics.address is %q: profiles are for this machine alone; use %s, or let metrics.web_config ask for a password", c.Address, DefaultAddress)
	}
	return errors.Join(c.Push.validate(), c.RemoteWrite.validate())
}

func (c Config) validateAddress() error {
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
	shutdownPeriod = time.Second
)

// Server serves one registry, read-only: GET and HEAD of /metrics and /healthz, and of what Handle adds. No client can
// hold up those who change the series: an answer is made from a copy.
type Server struct {
	listener  net.Listener
	mux       *http.ServeMux
	http      *http.Server
	webConfig string
	warning   string
}

// Listen opens the address of config, so that it is known before the run starts; Serve answers on it. If the
// default port is taken, a free one is used and Warning says so. If an address that the user named cannot be opened,
// the error wraps ErrAddress; any other error is about metrics.web_config. The caller must call Serve or Close.
func Listen(config Config, registry *prometheus.Registry) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if err := config.CheckFiles(); err != nil {
		return nil, err
	}
	listener, warning, err := listen(config.Address)
	if err != nil {
		return nil, err
	}
	server := &Server{listener: listener, mux: http.NewServeMux(), webConfig: config.WebConfig, warning: warning}
	server.routes(config, registry)
	server.http = &http.Server{
		Handler:           harden(server.mux),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headerLimit,
		ErrorLog:          log.New(io.Discard, "", 0), // what clients do wrong is theirs to log
	}
	return server, nil
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

func (s *Server) routes(config Config, registry *prometheus.Registry) {
	s.Handle("/metrics", scrapes(registry))
	s.Handle("/healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n") // a client that went away is no error of ours
	}))
	if config.Profiles {
		s.handleProfiles()
	}
}

// scrapes answers in the format that the scraper prefers: OpenMetrics, which carries exemplars, protobuf, which carries
// native histograms, or plain text.
func scrapes(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesAtOnce, EnableOpenMetrics: true})
}

// Handle serves another path, to GET and HEAD. Call it before Serve. The handler must not let the training wait for a
// client.
func (s *Server) Handle(path string, handler http.Handler) { s.mux.Handle("GET "+path, handler) }

// Address is the host:port listened on, the port never 0.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Warning tells that the default port gave way to a free one; empty otherwise.
func (s *Server) Warning() string { return s.warning }

// Serve answers until ctx ends, then lets requests under way finish for a few seconds. It returns nil after a stop by
// ctx. Call it once; no goroutine outlives it.
func (s *Server) Serve(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.serve() }()
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

// serve answers until the server is shut down. Certificates and users are read anew when they change.
func (s *Server) serve() error {
	return web.Serve(s.listener, s.http, &web.FlagConfig{WebConfigFile: &s.webConfig}, slog.New(slog.DiscardHandler))
}

// Close frees the address of a server that Serve was never called on.
func (s *Server) Close() error { return s.listener.Close() }
