// Package endpoint is how the program speaks to servers that a configuration names: over HTTP, in bounded time, with
// secrets that come from the environment and are stored nowhere.
package endpoint

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Endpoint is a server as a configuration names it. Keys are the YAML paths, for messages.
type Endpoint struct {
	Key, URL                  string
	Username                  string // empty = the secret is a bearer token
	SecretKey, SecretVariable string // environment variable; empty = no secret
}

// Validate checks what needs no network and no environment.
func (e Endpoint) Validate() error {
	parsed, err := url.Parse(e.URL)
	switch {
	case err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "":
		return fmt.Errorf("%s is %q: must be a URL such as http://host:port", e.Key, withoutUser(e.URL, parsed))
	case parsed.User != nil:
		return fmt.Errorf("%s holds a user or password, which would be stored with the run: name an environment variable in %s instead", e.Key, e.SecretKey)
	case e.Username != "" && e.SecretVariable == "":
		return fmt.Errorf("%s is empty, but there is a user name: name the environment variable that holds the password", e.SecretKey)
	}
	return nil
}

// withoutUser is the URL as messages may show it.
func withoutUser(text string, parsed *url.URL) string {
	if parsed == nil || parsed.User == nil {
		return text
	}
	return parsed.Redacted()
}

// Client is an HTTP client that gives up after the timeout and shows the secret to this server only. An error says that
// the variable is not set. It follows no redirect, which could carry the secret elsewhere.
func (e Endpoint) Client(timeout time.Duration) (*http.Client, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	secret := ""
	if e.SecretVariable != "" {
		if secret = os.Getenv(e.SecretVariable); secret == "" {
			return nil, fmt.Errorf("%s names %s, which is not set: set it, or leave the key empty", e.SecretKey, e.SecretVariable)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableKeepAlives = true // requests are rare, and no goroutine outlives one
	return &http.Client{
		Timeout:       timeout,
		Transport:     &signed{transport, e.Username, secret},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// signed adds the secret to each request.
type signed struct {
	next             http.RoundTripper
	username, secret string
}

// RoundTrip sends a signed copy of the request.
func (s *signed) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	switch {
	case s.username != "":
		request.SetBasicAuth(s.username, s.secret)
	case s.secret != "":
		request.Header.Set("Authorization", "Bearer "+s.secret)
	}
	return s.next.RoundTrip(request)
}
