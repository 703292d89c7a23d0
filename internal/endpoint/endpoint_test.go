package endpoint

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	for name, test := range map[string]struct {
		endpoint Endpoint
		want     string // "" = valid
	}{
		"plain":            {Endpoint{URL: "http://host:5000"}, ""},
		"path":             {Endpoint{URL: "https://host/mlflow/"}, ""},
		"password":         {Endpoint{URL: "http://host", Username: "a", SecretVariable: "B"}, ""},
		"empty":            {Endpoint{}, `key is "": must be a URL`},
		"no scheme":        {Endpoint{URL: "host:5000"}, "must be a URL"},
		"other scheme":     {Endpoint{URL: "file:///etc/passwd"}, "must be a URL"},
		"no host":          {Endpoint{URL: "http://"}, "must be a URL"},
		"rubbish":          {Endpoint{URL: "http://%zz"}, "must be a URL"},
		"secret in it":     {Endpoint{URL: "http://a:sesame@host"}, "name an environment variable in secret"},
		"secret in other":  {Endpoint{URL: "ftp://a:sesame@host"}, "must be a URL"},
		"user, no secret":  {Endpoint{URL: "http://host", Username: "a"}, "secret is empty"},
		"token in the URL": {Endpoint{URL: "http://sesame@host"}, "would be stored with the run"},
	} {
		test.endpoint.Key, test.endpoint.SecretKey = "key", "secret"
		err := test.endpoint.Validate()
		if (err == nil) != (test.want == "") ||
			err != nil && (!strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "sesame")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClientShowsTheSecret as password or token, to the server of the configuration alone: a redirect is not followed.
func TestClientShowsTheSecret(t *testing.T) {
	t.Setenv("SECRET", "sesame")
	shown := ""
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the redirect was followed")
	}))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown = r.Header.Get("Authorization")
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	}))
	defer server.Close()
	for want, e := range map[string]Endpoint{
		"":                   {},
		"Bearer sesame":      {SecretVariable: "SECRET"},
		"Basic YTpzZXNhbWU=": {SecretVariable: "SECRET", Username: "a"},
	} {
		e.URL = server.URL
		client, err := e.Client(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if shown != want {
			t.Errorf("shown is %q, want %q", shown, want)
		}
	}
}

func TestClientWithoutItsSecret(t *testing.T) {
	t.Setenv("SECRET", "")
	_, err := Endpoint{URL: "http://host", SecretKey: "secret", SecretVariable: "SECRET"}.Client(time.Minute)
	if err == nil || !strings.Contains(err.Error(), "secret names SECRET, which is not set") {
		t.Errorf("got %v", err)
	}
	if _, err := (Endpoint{Key: "key"}).Client(time.Minute); err == nil {
		t.Error("an endpoint without a URL has a client")
	}
}
