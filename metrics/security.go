package metrics

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
)

// CheckFiles reads the web configuration and the certificates that it names, so that a mistake in them is found before
// any work. Its errors name the file.
func (c Config) CheckFiles() error {
	if c.WebConfig == "" {
		return nil
	}
	if err := web.Validate(c.WebConfig); err != nil {
		return fmt.Errorf("metrics.web_config = %s: %w; allowed: a web configuration file of Prometheus exporters", c.WebConfig, err)
	}
	if !c.Profiles || c.onLoopback() {
		return nil
	}
	protected, err := asksForPassword(c.WebConfig)
	if err == nil && !protected {
		err = errors.New("it has no basic_auth_users, without which metrics.pprof is for loopback addresses only")
	}
	if err != nil {
		return fmt.Errorf("metrics.web_config = %s: %w", c.WebConfig, err)
	}
	return nil
}

// asksForPassword reports whether a web configuration, already found valid, names users.
func asksForPassword(path string) (bool, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	var file struct {
		Users map[string]string `yaml:"basic_auth_users"`
	}
	err = yaml.Unmarshal(content, &file)
	return len(file.Users) > 0, err
}

// onLoopback reports whether the address can be reached from this machine only.
func (c Config) onLoopback() bool {
	if c.Address == "" {
		return true
	}
	host, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// harden tells browsers to take nothing from elsewhere, to show the pages in no frame, and to guess no types.
func harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		for name, value := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
				"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "no-referrer",
		} {
			if header.Get(name) == "" { // the web configuration may set its own
				header.Set(name, value)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// handleProfiles serves what `go tool pprof` asks for, except the command line, which holds paths of the machine.
func (s *Server) handleProfiles() {
	s.Handle("/debug/pprof/", http.HandlerFunc(pprof.Index))
	s.Handle("/debug/pprof/cmdline", http.NotFoundHandler())
	s.Handle("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	s.Handle("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	s.Handle("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
}
