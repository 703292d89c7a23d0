package main

import "github.com/grafana/grafana-foundation-sdk/go/units"

// boards are all dashboards. Expressions need no recording rules, so that a dashboard works on any Prometheus that scrapes
// a run; rates go over Grafana's $__rate_interval, which follows the zoom.
var boards = []board{overview, oneRun}

const (
	waiting   = "rate(pretrain_data_wait_seconds_total{RUN}[$__rate_interval]) / " + stepTime
	stepTime  = "rate(pretrain_step_duration_seconds_sum{RUN}[$__rate_interval])"
	bestProbe = "max without (layer) (pretrain_probe_accuracy_ratio{RUN})"
	age       = "time() - (pretrain_checkpoint_timestamp_seconds{RUN} > 0)"
	speed     = "rate(pretrain_images_total{RUN}[$__rate_interval])"
	firing    = `ALERTS{alertname=~"Pretrain.+", alertstate="firing"}`
)

var overview = board{
	file: "overview.json", uid: "pretrain-overview", title: "pretrain: runs", every: true,
	about: "All trainings that Prometheus scrapes: which learn, which starve, which are about to end.",
	rows: []row{
		{"Now", []panel{
			{title: "Runs", kind: number, width: 6, queries: []query{{"count(pretrain_run_info{RUN})", ""}}},
			{title: "Alerts that fire", kind: number, width: 6,
				about:   "docs/runbook.md says what each means. Needs the rules of deploy/prometheus.",
				queries: []query{{"count(" + firing + ") or vector(0)", ""}}},
			{title: "Pictures a second", kind: number, width: 6, unit: units.Short,
				queries: []query{{"sum(" + speed + ")", ""}}},
			{title: "Arithmetic", kind: number, width: 6, unit: units.FlopsPerSecond,
				queries: []query{{"sum(rate(pretrain_floating_point_operations_total{RUN}[$__rate_interval]))", ""}}},
			{title: "Runs", kind: listing, width: 24, about: "One line a run; the best layer of the better probe.",
				queries: []query{
					{"pretrain_run_info{RUN}", ""},
					{"pretrain_run_progress_ratio{RUN}", "progress"},
					{"pretrain_run_remaining_seconds{RUN}", "remaining"},
					{"pretrain_loss{RUN}", "loss"},
					{"max without (probe, layer) (pretrain_probe_accuracy_ratio{RUN})", "best probe"},
					{speed, "pictures a second"},
					{waiting, "waits for data"},
					{age, "checkpoint age"},
					{"process_resident_memory_bytes{RUN}", "memory"},
				}},
		}},
		{"Learning", []panel{
			{title: "Loss",
				about:   "Weighted sum of the task losses; runs with other tasks or weights are not comparable by it.",
				queries: []query{{"pretrain_loss{RUN}", "{{instance}}"}}},
			{title: "Best probe", unit: units.PercentUnit,
				about:   "What the features are good for: the best layer, on labelled pictures. Needs eval.train and eval.test.",
				queries: []query{{bestProbe, "{{instance}} {{probe}}"}}},
			{title: "Gradient norm", about: "Before clipping, of single steps.",
				queries: []query{{"pretrain_gradient_norm{RUN}", "{{instance}}"}}},
		}},
		{"Speed", []panel{
			{title: "Progress", unit: units.PercentUnit, limits: []float64{0, 1},
				queries: []query{{"pretrain_run_progress_ratio{RUN}", "{{instance}}"}}},
			{title: "Pictures a second", queries: []query{{speed, "{{instance}}"}}},
			{title: "Waiting for data", unit: units.PercentUnit,
				about:   "Part of the time of steps. Above a fifth the run starves.",
				queries: []query{{waiting, "{{instance}}"}}},
		}},
		{"Health", []panel{
			{title: "Age of the last checkpoint", unit: units.Seconds, queries: []query{{age, "{{instance}}"}}},
			{title: "Resident memory", unit: units.BytesIEC,
				queries: []query{{"process_resident_memory_bytes{RUN}", "{{instance}}"}}},
			{title: "Alerts", about: "How many fire, by name.",
				queries: []query{{"count by (alertname) (" + firing + ") or vector(0)", "{{alertname}}"}}},
		}},
	},
}

var oneRun = board{
	file: "run.json", uid: "pretrain-run", title: "pretrain: one run",
	about: "One training in depth: does it learn, starve, cheat or die?",
	rows: []row{
		{"Now", []panel{
			{title: "Progress", kind: number, width: 4, unit: units.PercentUnit,
				queries: []query{{"pretrain_run_progress_ratio{RUN}", ""}}},
			{title: "Epoch", kind: number, width: 4, unit: units.PercentUnit,
				queries: []query{{"pretrain_epoch_progress_ratio{RUN}", ""}}},
			{title: "Remaining", kind: number, width: 4, unit: units.Seconds,
				queries: []query{{"pretrain_run_remaining_seconds{RUN}", ""}}},
			{title: "Last step", kind: number, width: 4, unit: units.Seconds, about: "Time since it was complete.",
				queries: []query{{"time() - (pretrain_step_timestamp_seconds{RUN} > 0)", ""}}},
			{title: "Checkpoint age", kind: number, width: 4, unit: units.Seconds, queries: []query{{age, ""}}},
			{title: "Failed", kind: number, width: 4, about: "1 once the run has ended in an error.",
				queries: []query{{"pretrain_run_failed{RUN}", ""}}},
			{title: "What is running", kind: listing, width: 24, queries: []query{{"pretrain_run_info{RUN}", ""}}},
		}},
		{"Learning", []panel{
			{title: "Loss", about: "Weighted sum of the task losses.",
				queries: []query{{"pretrain_loss{RUN}", "loss"}}},
			{title: "Loss by task", about: "Before weighting.",
				queries: []query{{"pretrain_task_loss{RUN}", "{{task}}"}}},
			{title: "Weight by task", queries: []query{{"pretrain_task_weight{RUN}", "{{task}}"}}},
			{title: "Accuracy by task", unit: units.PercentUnit,
				about: "Beside the accuracy of always giving the commonest answer.",
				queries: []query{
					{"pretrain_task_accuracy_ratio{RUN}", "{{task}}"},
					{"pretrain_task_chance_accuracy_ratio{RUN}", "{{task}} by chance"},
				}},
			{title: "Measures of the tasks' own",
				queries: []query{{"pretrain_task_metric{RUN}", "{{task}} {{metric}}"}}},
			{title: "Probes by layer", unit: units.PercentUnit,
				about:   "What the features are good for. Flat, while a task is nearly solved: a shortcut.",
				queries: []query{{"pretrain_probe_accuracy_ratio{RUN}", "{{probe}} {{layer}}"}}},
		}},
		{"Health of the features and of the gradients", []panel{
			{title: "Rank of the features", about: "Effective rank (RankMe) by layer. Near 1 they have collapsed.",
				queries: []query{{"pretrain_feature_rank{RUN}", "layer {{layer}}"}}},
			{title: "Spread of the features", unit: units.PercentUnit,
				about:   "Of directions at random. Near 0 they have collapsed.",
				queries: []query{{"pretrain_feature_spread_ratio{RUN}", "layer {{layer}}"}}},
			{title: "Cosine between the gradients of tasks", limits: []float64{-1, 1},
				about:   "On what all tasks share. Below 0 for long: they work against each other.",
				queries: []query{{"pretrain_task_gradient_cosine{RUN}", "{{task}} and {{other}}"}}},
			{title: "Gradient norm", about: "Of all parameters in single steps, before clipping.",
				queries: []query{{"pretrain_gradient_norm{RUN}", "norm"}}},
			{title: "Gradient norm by task", about: "On what all tasks share, before weighting.",
				queries: []query{{"pretrain_task_gradient_norm{RUN}", "{{task}}"}}},
			{title: "Size of an update by block", unit: units.PercentUnit,
				about:   "Change over weights. About 0.1 % is usual.",
				queries: []query{{"pretrain_update_ratio{RUN}", "{{block}}"}}},
			{title: "Learning rate", queries: []query{{"pretrain_learning_rate{RUN}", "learning rate"}}},
			{title: "Norm of the parameters", queries: []query{{"pretrain_parameter_norm{RUN}", "norm"}}},
			{title: "Skipped steps and loss scale",
				queries: []query{{"pretrain_skipped_steps_total{RUN}", "skipped"}, {"pretrain_loss_scale{RUN}", "scale"}}},
		}},
		{"Speed", []panel{
			{title: "Where the time of steps goes", kind: stacked, unit: units.PercentUnit, queries: []query{
				{"rate(pretrain_step_phase_seconds_total{RUN}[$__rate_interval])" +
					" / ignoring (phase) group_left () " + stepTime, "{{phase}}"}}},
			{title: "Time of a step", unit: units.Seconds, queries: []query{
				{stepTime + " / rate(pretrain_step_duration_seconds_count{RUN}[$__rate_interval])", "mean"},
				{"histogram_quantile(0.99, rate(pretrain_step_duration_seconds_bucket{RUN}[$__rate_interval]))", "99 %"},
			}},
			{title: "Pictures and views a second",
				queries: []query{{speed, "pictures"}, {"rate(pretrain_views_total{RUN}[$__rate_interval])", "views"}}},
			{title: "Arithmetic", unit: units.FlopsPerSecond,
				about: "In wall-clock time, beside what the registers alone would reach.",
				queries: []query{
					{"rate(pretrain_floating_point_operations_total{RUN}[$__rate_interval])", "reached"},
					{"pretrain_peak_operations_per_second{RUN}", "peak"},
				}},
			{title: "Share of peak", unit: units.PercentUnit, about: "Of the passes of single steps.",
				queries: []query{{"pretrain_peak_share_ratio{RUN}", "share"}}},
			{title: "Waiting for data", unit: units.PercentUnit,
				about:   "Part of the time of steps. Above a fifth the run starves.",
				queries: []query{{waiting, "waiting"}}},
		}},
		{"Pictures", []panel{
			{title: "Batches ready", about: "0 most of the time: the run starves.",
				queries: []query{{"pretrain_data_queue_batches{RUN}", "ready"}}},
			{title: "Cache hits", unit: units.PercentUnit, queries: []query{
				{`rate(pretrain_cache_requests_total{RUN, result="hit"}[$__rate_interval])` +
					" / ignoring (result) sum without (result) (rate(pretrain_cache_requests_total{RUN}[$__rate_interval]))", "hits"}}},
			{title: "Unreadable pictures", about: "By what is wrong with them.",
				queries: []query{{"pretrain_bad_images_total{RUN} or vector(0)", "{{kind}}"}}},
		}},
		{"Machine", []panel{
			{title: "Memory", unit: units.BytesIEC, queries: []query{
				{"process_resident_memory_bytes{RUN}", "resident"}, {"go_memstats_heap_inuse_bytes{RUN}", "heap"},
				{"pretrain_arena_bytes{RUN}", "arena"}, {"pretrain_cache_bytes{RUN}", "cache of pictures"},
			}},
			{title: "Processors", about: "CPU seconds a second: how many cores are busy.",
				queries: []query{{"rate(process_cpu_seconds_total{RUN}[$__rate_interval])", "busy"}}},
			{title: "Page faults a second", about: "Major ones read from a disk.",
				queries: []query{{"rate(pretrain_page_faults_total{RUN}[$__rate_interval])", "{{kind}}"}}},
			{title: "Disk", unit: units.BytesIEC, queries: []query{
				{"pretrain_disk_free_bytes{RUN}", "free"}, {"pretrain_disk_size_bytes{RUN}", "size"},
				{"pretrain_checkpoint_size_bytes{RUN}", "a checkpoint"},
			}},
			{title: "Time of a checkpoint", unit: units.Seconds, queries: []query{
				{"pretrain_checkpoint_duration_seconds_sum{RUN} / pretrain_checkpoint_duration_seconds_count{RUN}", "mean"},
			}},
			{title: "Goroutines and open files",
				queries: []query{{"go_goroutines{RUN}", "goroutines"}, {"process_open_fds{RUN}", "open files"}}},
		}},
	},
}
