package metrics

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"golang.org/x/crypto/bcrypt"
)

// writeFile writes a file of a test and returns its path.
func writeFile(t *testing.T, folder, name, content string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate writes cert.pem and key.pem, for 127.0.0.1, and returns a pool that trusts it.
func certificate(t *testing.T, folder string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})
	writeFile(t, folder, "cert.pem", string(text))
	writeFile(t, folder, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return pool
}

// users is the part of a web configuration that asks for a password.
func users(t *testing.T, name, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return "basic_auth_users:\n  " + name + ": " + string(hash) + "\n"
}

const tlsSection = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"

// TestTLSAndUsers: without the password, or without TLS, nothing is told.
func TestTLSAndUsers(t *testing.T) {
	folder := t.TempDir()
	pool := certificate(t, folder)
	file := writeFile(t, folder, "web.yml", tlsSection+users(t, "prometheus", "sesame"))
	url, stop := serve(t, Config{Address: "127.0.0.1:0", WebConfig: file}, filled().Registry())
	defer stop()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true,
	}}
	secure := strings.Replace(url, "http://", "https://", 1)
	for _, test := range []struct {
		url, password string
		status        int
		told          bool
	}{
		{secure, "sesame", 200, true},
		{secure, "wrong", 401, false},
		{secure, "", 401, false},
		{url, "sesame", 400, false},
	} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", test.url+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.password != "" {
			request.SetBasicAuth("prometheus", test.password)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != test.status || strings.Contains(string(body), namespace) != test.told {
			t.Errorf("%s with %q: status %d, body %.100q", test.url, test.password, response.StatusCode, body)
		}
	}
}

// TestWebConfigsThatCannotBeUsed: each message names the file at fault, and comes before anything is listened on.
func TestWebConfigsThatCannotBeUsed(t *testing.T) {
	folder := t.TempDir()
	missing := filepath.Join(folder, "missing.yml")
	withoutCertificate := writeFile(t, folder, "tls.yml", tlsSection)
	torn := writeFile(t, folder, "torn.yml", "tls_server_config: [")
	unknown := writeFile(t, folder, "unknown.yml", "basic_auth_user:\n  a: b\n")
	plain := writeFile(t, folder, "plain.yml", "basic_auth_users:\n  a: sesame\n")
	empty := writeFile(t, folder, "empty.yml", "")
	for file, want := range map[string]string{
		missing: missing, withoutCertificate: filepath.Join(folder, "cert.pem"),
		torn: torn, unknown: "basic_auth_user", plain: plain,
	} {
		_, err := Listen(Config{Address: "127.0.0.1:0", WebConfig: file}, filled().Registry())
		if err == nil || !strings.Contains(err.Error(), "metrics.web_config = ") ||
			!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s gives %v", filepath.Base(file), err)
		}
	}
	if err := (Config{WebConfig: empty}).CheckFiles(); err != nil {
		t.Errorf("an empty file gives %v", err)
	}
}

// TestProfilesAreForThisMachine: on another address they need a password.
func TestProfilesAreForThisMachine(t *testing.T) {
	folder := t.TempDir()
	open, closed := writeFile(t, folder, "open.yml", ""), writeFile(t, folder, "closed.yml", users(t, "a", "b"))
	for _, test := range []struct {
		address, file string
		allowed       bool
	}{
		{"", "", true}, {"127.0.0.1:0", "", true}, {"[::1]:0", "", true}, {"localhost:0", "", true}, {"127.0.0.1:0", open, true},
		{":9464", "", false}, {"0.0.0.0:9464", "", false}, {"10.0.0.1:9464", "", false}, {"host:9464", "", false},
		{":9464", open, false}, {":9464", closed, true},
	} {
		config := Config{Address: test.address, WebConfig: test.file, Profiles: true}
		err := errors.Join(config.Validate(), config.CheckFiles())
		if (err == nil) != test.allowed || err != nil && !strings.Contains(err.Error(), "metrics.pprof") {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestProfiles(t *testing.T) {
	url, stop := serve(t, Config{Address: "127.0.0.1:0", Profiles: true}, filled().Registry())
	defer stop()
	for path, want := range map[string]int{
		"/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/cmdline": 404,
	} {
		if status, _ := request(t, "GET", url+path); status != want {
			t.Errorf("%s: status %d, want %d", path, status, want)
		}
	}
	if status, _ := request(t, "POST", url+"/debug/pprof/symbol"); status != 405 {
		t.Errorf("POST: status %d", status)
	}
}

// get requests a path with a wish about the format.
func get(t *testing.T, url, accept string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	r.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

func TestPagesAreHardened(t *testing.T) {
	server, err := Listen(Config{Address: "127.0.0.1:0"}, filled().Registry())
	if err != nil {
		t.Fatal(err)
	}
	server.Handle("/page", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(t.Context()) }()
	for _, path := range []string{"/page", "/metrics", "/missing"} {
		header := get(t, "http://"+server.Address()+path, "*/*").Header
		if header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: headers %v", path, header)
		}
	}
	if status, _ := request(t, "POST", "http://"+server.Address()+"/page"); status != 405 {
		t.Errorf("POST: status %d", status)
	}
	server.http.Close()
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// TestFormats: OpenMetrics carries exemplars, protobuf native histograms, and plain text neither.
func TestFormats(t *testing.T) {
	url, stop := serve(t, Config{Address: "127.0.0.1:0"}, filled().Registry())
	defer stop()
	text := func(accept, kind string) string {
		response := get(t, url+"/metrics", accept)
		body, err := io.ReadAll(response.Body)
		if got := response.Header.Get("Content-Type"); err != nil || !strings.HasPrefix(got, kind) {
			t.Errorf("%s: %s, %v", accept, got, err)
		}
		return string(body)
	}
	const exemplar = ` # {step="7"}`
	open := text("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0")
	if !strings.HasSuffix(open, "# EOF\n") || strings.Count(open, exemplar) != 1 {
		t.Errorf("OpenMetrics: %.300s", open)
	}
	plain := text("text/plain", "text/plain; version=0.0.4")
	if strings.Contains(plain, "EOF") || strings.Contains(plain, exemplar) {
		t.Error("plain text has parts of OpenMetrics")
	}
	const protobuf = "application/vnd.google.protobuf"
	binary := text(protobuf+";proto=io.prometheus.client.MetricFamily;encoding=delimited", protobuf)
	decoder := expfmt.NewDecoder(bytes.NewReader([]byte(binary)), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); err != nil {
			t.Fatalf("no native histogram of steps: %v", err)
		}
		if family.GetName() == "pretrain_step_duration_seconds" {
			h := family.Metric[0].GetHistogram()
			if h.GetSchema() < 2 || len(h.PositiveDelta) == 0 || len(h.Bucket) != len(stepBuckets) {
				t.Errorf("steps: %v", h)
			}
			return
		}
	}
}

// TestNothingTellsOfTheMachine: neither the folder that the program runs in nor the home of its user is served.
func TestNothingTellsOfTheMachine(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	text := exposition(t, filled())
	for _, path := range []string{here, os.Getenv("HOME") + "/", os.TempDir() + "/"} {
		if len(path) > 1 && strings.Contains(text, path) {
			t.Errorf("%s is served", path)
		}
	}
}
