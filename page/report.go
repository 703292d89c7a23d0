package page

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"time"
)

// Report is what a report at rest shows: one run, or several side by side.
type Report struct {
	Made        string       `json:"made"` // by what and when
	Runs        []Run        `json:"runs"`
	Differences []Difference `json:"differences"` // of the configurations of several runs
}

// Difference is a key that configurations disagree about.
type Difference struct {
	Key    string   `json:"key"`
	Values []string `json:"values"` // one a run; empty for a run that has no such key
}

// reportHead comes before the styles. The policy forbids the page to fetch anything, so that it cannot give away what it
// shows.
const reportHead = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>pretrain</title>
`

// WriteReport writes a self-contained page. It judges the runs and hides paths; records are thinned to what a screen can
// show.
func WriteReport(w io.Writer, report Report, version string, now time.Time) error {
	report.Made = fmt.Sprintf("Report of pretrain %s, %s", version, now.UTC().Format("2 January 2006, 15:04 UTC"))
	summary := ""
	for i := range report.Runs {
		run := &report.Runs[i]
		run.Verdict = Judge(*run)
		run.Records = thin(run.Records, historyLimit)
		summary += fmt.Sprintf("<h1>%s</h1><p><strong>%s.</strong> %s</p>", html.EscapeString(run.Name), html.EscapeString(run.Verdict.Title), html.EscapeString(run.Verdict.Text))
	}
	content, err := json.Marshal(report) // escapes <, > and &, so nothing in it ends the script
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, part := range []string{
		reportHead, "<style>", asset("uplot.css"), asset("page.css"), "</style>\n</head>\n<body>\n",
		"<noscript>", summary, "<p>The curves need JavaScript.</p></noscript>\n",
		`<script type="application/json" id="data">`, string(content), "</script>\n",
		"<script>", asset("uplot.js"), "</script>\n<script>", asset("page.js"), "</script>\n</body>\n</html>\n",
	} {
		if _, err := io.WriteString(w, part); err != nil {
			return err
		}
	}
	return nil
}
