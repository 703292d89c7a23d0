package main

import (
	"encoding/json"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// board is a dashboard as dashboards.go describes it.
type board struct {
	file, uid, title, about string
	every                   bool // shows several runs at once, else the one that is chosen
	rows                    []row
}

type row struct {
	title  string
	panels []panel
}

// panel is a chart of lines unless kind says otherwise.
type panel struct {
	title, about string
	kind         kind
	unit         string // of package units; empty = a plain number
	width        uint32 // of 24 columns; 0 = 8
	limits       []float64
	queries      []query
}

type kind int

const (
	lines   kind = iota
	stacked      // lines on top of each other
	number       // the last value, large
	listing      // a table: one line a run, one column a query
)

// query is an expression in which RUN stands for the selector of the chosen runs.
type query struct{ expr, legend string }

// runs selects what the variables of a dashboard choose.
const runs = `job=~"$job", instance=~"$instance"`

func (q query) promQL() string { return strings.ReplaceAll(q.expr, "RUN", runs) }

// source is the data source that the variable of the same name chooses.
var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

// json is the dashboard as Grafana imports it.
func (b board) json() ([]byte, error) {
	//lint:ignore SA1019 what it gives way to, the second schema, is read by Grafana 12 and later only
	builder := dashboard.NewDashboardBuilder(b.title).Uid(b.uid).Description(b.about).Tags([]string{"pretrain"}).
		Refresh("15s").Time("now-3h", "now").Timezone(common.TimeZoneBrowser).Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("pretrain").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{"pretrain"}).IncludeVars(true).KeepTime(true))
	for _, variable := range b.variables() {
		builder.WithVariable(variable)
	}
	for _, r := range b.rows {
		builder.WithRow(dashboard.NewRowBuilder(r.title))
		for _, p := range r.panels {
			builder.WithPanel(p.builder())
		}
	}
	built, err := builder.Build()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(built, "", "  ")
	return append(text, '\n'), err
}

// variableQueries fill the lists of jobs and instances.
var variableQueries = []query{
	{"label_values(pretrain_run_info, job)", "job"},
	{`label_values(pretrain_run_info{job=~"$job"}, instance)`, "instance"},
}

func (b board) variables() []cog.Builder[dashboard.VariableModel] {
	variables := []cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus"),
	}
	for _, q := range variableQueries {
		variable := dashboard.NewQueryVariableBuilder(q.legend).Label(q.legend).Datasource(source).
			Query(dashboard.StringOrMap{String: cog.ToPtr(q.expr)}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc)
		if b.every || q.legend == "job" {
			variable.Multi(true).IncludeAll(true).AllValue(".+").
				Current(dashboard.VariableOption{Text: text("All"), Value: text("$__all"), Selected: cog.ToPtr(true)})
		}
		variables = append(variables, variable)
	}
	return variables
}

func text(s string) dashboard.StringOrArrayOfString {
	return dashboard.StringOrArrayOfString{String: &s}
}

func (p panel) builder() cog.Builder[dashboard.Panel] {
	if p.width == 0 {
		p.width = 8
	}
	switch p.kind {
	case number:
		return p.number()
	case listing:
		return p.listing()
	}
	return p.lines()
}

func (p panel) lines() cog.Builder[dashboard.Panel] {
	builder := timeseries.NewPanelBuilder().Title(p.title).Description(p.about).Datasource(source).
		Unit(p.unit).Span(p.width).Height(8).LineWidth(1).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti))
	if p.kind == stacked {
		builder.FillOpacity(40).Stacking(common.NewStackingConfigBuilder().Mode(common.StackingModeNormal))
	}
	if len(p.limits) == 2 {
		builder.Min(p.limits[0]).Max(p.limits[1])
	}
	for _, q := range p.queries {
		builder.WithTarget(prometheus.NewDataqueryBuilder().Expr(q.promQL()).LegendFormat(q.legend).Range())
	}
	return builder
}

func (p panel) number() cog.Builder[dashboard.Panel] {
	builder := stat.NewPanelBuilder().Title(p.title).Description(p.about).Datasource(source).
		Unit(p.unit).Span(p.width).Height(4).GraphMode(common.BigValueGraphModeNone).ColorMode(common.BigValueColorModeNone)
	for _, q := range p.queries {
		builder.WithTarget(prometheus.NewDataqueryBuilder().Expr(q.promQL()).LegendFormat(q.legend).Instant())
	}
	return builder
}

// unitOf are the units of the columns of a listing, by what their legends begin with.
var unitOf = map[string]string{
	"progress": units.PercentUnit, "remaining": units.Seconds, "best probe": units.PercentUnit,
	"waits for data": units.PercentUnit, "checkpoint age": units.Seconds, "memory": units.BytesIEC,
}

// listing merges the queries into one line a run: Grafana merges lines that agree in all columns that they share, so names
// of series are aggregated away, and so are labels of all but the query without a legend. It names the column of a
// query by its letter.
func (p panel) listing() cog.Builder[dashboard.Panel] {
	names := map[string]string{}
	hidden := map[string]bool{"Time": true, "Value": true} // the latter is that of a single query
	builder := table.NewPanelBuilder().Title(p.title).Description(p.about).Datasource(source).Span(p.width).Height(8)
	for i, q := range p.queries {
		letter, labels := string(rune('A'+i)), "by (job, instance)"
		if q.legend == "" {
			labels = "without ()"
		}
		builder.WithTarget(prometheus.NewDataqueryBuilder().RefId(letter).Expr("max " + labels + " (" + q.promQL() + ")").
			Format(prometheus.PromQueryFormatTable).Instant())
		if q.legend == "" {
			hidden["Value #"+letter] = true
			continue
		}
		names["Value #"+letter] = q.legend
		builder.OverrideByName(q.legend, []dashboard.DynamicConfigValue{{Id: "unit", Value: unitOf[q.legend]}})
	}
	return builder.
		WithTransformation(dashboard.DataTransformerConfig{Id: "merge", Options: map[string]any{}}).
		WithTransformation(dashboard.DataTransformerConfig{Id: "organize", Options: map[string]any{
			"excludeByName": hidden, "renameByName": names,
		}})
}
