package page

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"

	"pretrain/metrics"
)

// Verdict says in words how a run does, by the rules below. It is made of the run's own measurements, and says what it does
// not know.
type Verdict struct {
	Kind  Kind     `json:"kind"`
	Title string   `json:"title"`
	Text  string   `json:"text"`  // why
	Notes []string `json:"notes"` // what else there is to say
}

// Kind is the gist of a verdict.
type Kind string

// Kinds, the gravest first: the first whose rule holds is the verdict.
const (
	Diverged  Kind = "diverged"
	Collapsed Kind = "collapsed"
	Shortcut  Kind = "shortcut"
	Starved   Kind = "starved"
	Early     Kind = "early"
	Stuck     Kind = "stuck"
	Learned   Kind = "learned"
)

var titles = map[Kind]string{
	Diverged: "Diverged", Collapsed: "Features have collapsed", Shortcut: "Learns its tasks, but not features",
	Starved: "Starved of data", Early: "Too early to say", Stuck: "Does not learn", Learned: "Learns its tasks",
}

// Thresholds of the rules. They are meant to be right about plain cases and silent about others. Where deploy/prometheus has
// an alert for the same, both have the same threshold.
const (
	// A run that has done less than a twentieth of its steps and no epoch, or has fewer lines than this, is young: losses
	// fall steeply at first whatever happens later, and features of random weights look collapsed.
	youngShare, youngRecords = 0.05, 8
	// Losses that are half as high again as at the start, where the network knew nothing, are climbing.
	climbing = 1.5
	// Random weights give features an effective rank of some ten and more; one or two directions are a collapse (Garrido et
	// al. 2023). The spread is 1 for features in random directions, and nears 0 as all become one.
	collapsedRank, collapsedSpread = 2.5, 0.05
	// Nineteen twentieths of what can be gained over chance is a ceiling: real pictures keep tasks below it for long.
	ceiling = 0.95
	// Probes on a few hundred pictures waver by about two points of a hundred: less gain is none.
	flat = 0.02
	// A fifth of the time spent waiting for data costs a quarter of the speed. The first lines do not count, as the cache is
	// filled then.
	starving, starvingRecords = 0.2, 5
	// A task that gains less than a twentieth over chance and whose loss has fallen by less than a twentieth has not begun
	// to learn.
	moved = 0.05
	// Cosines of gradients waver around 0 where tasks have nothing to do with each other, those of single looks by 0.1 to 0.3:
	// only a mean that lies three standard errors below 0 says something.
	fighting, fightingLooks, fightingErrors = -0.1, 5, 3
)

// Judge holds a run against the rules. Its verdict holds for what the run has recorded so far.
func Judge(run Run) Verdict {
	e := newEvidence(run)
	for _, rule := range []struct {
		kind  Kind
		holds func(evidence) (string, bool)
	}{
		{Diverged, evidence.diverged}, {Collapsed, evidence.collapsed}, {Shortcut, evidence.shortcut},
		{Starved, evidence.starved}, {Early, evidence.early}, {Stuck, evidence.stuck}, {Learned, evidence.learned},
	} {
		if text, holds := rule.holds(e); holds {
			return Verdict{rule.kind, e.title(rule.kind), text, e.notes(rule.kind)}
		}
	}
	panic("page: no rule holds") // learned always does
}

// title says of learning whether it is done and whether the features are known to be of use.
func (e evidence) title(kind Kind) string {
	pretrained, random, evaluated := e.evaluated()
	useful := e.best-e.first > flat || evaluated && pretrained.Accuracy > random.Accuracy+flat/2
	switch {
	case kind != Learned:
		return titles[kind]
	case useful && e.State == "finished":
		return "Has learned useful features"
	case useful:
		return "Learns useful features"
	case e.State == "finished":
		return "Has learned its tasks"
	}
	return titles[kind]
}

// evidence is what the rules look at.
type evidence struct {
	Run
	tasks       []taskEvidence
	first, last float64 // of the online probe; NaN if it was not measured
	best        float64
	probe       string // its name
	wait        float64
	young       bool
}

// taskEvidence compares the first lines of a run with the last ones. Accuracies are NaN for a task that has none.
type taskEvidence struct {
	name               string
	lossBefore, loss   float64
	accuracy, chance   float64
	gained             float64 // part of what can be gained over chance
	reachedCeilingSoon bool
}

func (t taskEvidence) hasMoved() bool { return t.gained > moved || t.loss < (1-moved)*t.lossBefore }

func newEvidence(run Run) evidence {
	n := len(run.Records)
	e := evidence{Run: run, first: math.NaN(), last: math.NaN(), best: math.NaN(), wait: math.NaN(), young: true}
	if n == 0 {
		return e
	}
	last := run.Records[n-1]
	e.young = n < youngRecords || last.Epoch == 0 && float64(last.Step) < youngShare*float64(run.Steps)
	if n >= starvingRecords {
		e.wait = mean(run.Records[n/2:], func(r metrics.Record) float64 { return float64(r.DataWaitRatio) })
	}
	for _, name := range run.Tasks {
		e.tasks = append(e.tasks, newTaskEvidence(run, name))
	}
	e.measureProbes()
	return e
}

func newTaskEvidence(run Run, name string) taskEvidence {
	n := len(run.Records)
	end := run.Records[n-max(1, n/10):]
	loss := func(r metrics.Record) float64 { return float64(r.Tasks[name].Loss) }
	accuracy := func(r metrics.Record) float64 {
		if a := r.Tasks[name].Accuracy; a != nil {
			return float64(*a)
		}
		return math.NaN()
	}
	t := taskEvidence{
		name: name, lossBefore: mean(run.Records[:max(1, n/20)], loss), loss: mean(end, loss),
		accuracy: mean(end, accuracy), chance: run.Chance[name],
	}
	t.gained = (t.accuracy - t.chance) / (1 - t.chance)
	soon := run.Records[max(0, n/10-1)]
	t.reachedCeilingSoon = n >= 10 && (accuracy(soon)-t.chance)/(1-t.chance) > ceiling
	return t
}

// mean is over the numbers of some records that are numbers; NaN without any.
func mean(records []metrics.Record, of func(metrics.Record) float64) float64 {
	sum, count := 0.0, 0.0
	for _, record := range records {
		if v := of(record); !math.IsNaN(v) {
			sum += v
			count++
		}
	}
	return sum / count
}

// measureProbes follows the best layer of one probe: the linear one, or k-NN where it is alone.
func (e *evidence) measureProbes() {
	for _, name := range []string{"knn", "linear"} {
		var values []float64
		for _, record := range e.Records {
			if best, ok := record.BestProbe(name); ok {
				values = append(values, best)
			}
		}
		if len(values) > 0 {
			e.probe, e.first, e.last, e.best = name, values[0], values[len(values)-1], slices.Max(values)
		}
	}
}

func (e evidence) diverged() (string, bool) {
	if strings.Contains(e.Error, "diverged") {
		return "The run ended because " + e.Error + ".", true
	}
	rise, counted := 0.0, 0.0
	for _, t := range e.tasks {
		if math.IsNaN(t.loss) || math.IsInf(t.loss, 0) {
			return fmt.Sprintf("The loss of %s is no number any more. Begin again with a lower learning rate or a longer warm-up.", t.name), true
		}
		if t.lossBefore > 0 {
			rise += t.loss / t.lossBefore
			counted++
		}
	}
	if !e.young && rise/counted > climbing {
		return fmt.Sprintf("The losses are %.1f times as high as at the start, where the network knew nothing. Begin again with a lower learning rate, a longer warm-up or a lower optimizer.clip_norm.", rise/counted), true
	}
	return "", false
}

func (e evidence) collapsed() (string, bool) {
	for _, health := range slices.Backward(e.health()) {
		if !e.young && (health.Rank < collapsedRank || health.Spread < collapsedSpread) {
			return fmt.Sprintf("The features of layer %s of all pictures are nearly the same: effective rank %.1f (below %g is a collapse), spread %.2f of that of random directions (below %g).",
				health.Layer, health.Rank, collapsedRank, health.Spread, collapsedSpread), true
		}
	}
	return "", false
}

// health is what the last closer look said of the layers.
func (e evidence) health() []metrics.FeatureHealth {
	for _, record := range slices.Backward(e.Records) {
		if record.Inspection != nil && len(record.Inspection.Features) > 0 {
			return record.Inspection.Features
		}
	}
	return nil
}

// shortcut needs labels: only they tell a task that is solved by a trick from one that is solved by understanding.
func (e evidence) shortcut() (string, bool) {
	if pretrained, random, ok := e.evaluated(); ok && pretrained.Accuracy <= random.Accuracy+flat/2 {
		return fmt.Sprintf("The evaluation finds %s with the trained features and %s with those of the same network before training: whatever the tasks have taught it, it is of no use here.",
			percent(pretrained.Accuracy), percent(random.Accuracy)), !e.young
	}
	probeIsFlat := e.measurements() > 1 && e.best-e.first <= flat
	for _, t := range e.tasks {
		if !e.young && t.gained > ceiling && probeIsFlat {
			return fmt.Sprintf("%s is right in %s of its answers, and yet the %s probe has not moved (%s at first, %s at best): the task may be solved by a trick, such as lens colours or the border of a picture.",
				t.name, percent(t.accuracy), e.probe, percent(e.first), percent(e.best)), true
		}
	}
	return "", false
}

func (e evidence) measurements() (count int) {
	for _, record := range e.Records {
		if len(record.Probes) > 0 {
			count++
		}
	}
	return count
}

// evaluated is the linear probe, or k-NN where it is alone, of the layers that the evaluation chose: trained and random.
func (e evidence) evaluated() (pretrained, random Layer, ok bool) {
	for _, probe := range []string{"linear", "knn"} {
		pretrained, trained := e.chosen("pretrained", probe)
		random, untrained := e.chosen("random", probe)
		if trained && untrained {
			return pretrained, random, true
		}
	}
	return Layer{}, Layer{}, false
}

func (e evidence) chosen(features, probe string) (Layer, bool) {
	at := slices.IndexFunc(e.Layers, func(l Layer) bool { return l.Chosen && l.Features == features && l.Probe == probe })
	if at < 0 {
		return Layer{}, false
	}
	return e.Layers[at], true
}

func (e evidence) starved() (string, bool) {
	return fmt.Sprintf("Training waits for data in %s of its time. Give it a larger data.cache_mib, more data.workers, a faster disk or smaller pictures.", percent(e.wait)), e.wait > starving
}

func (e evidence) early() (string, bool) {
	if len(e.Records) == 0 {
		return "Nothing has been recorded yet.", true
	}
	return "The run is too young for a judgement: its first epoch, or the first steps, decide nothing.", e.young
}

func (e evidence) stuck() (string, bool) {
	for _, t := range e.tasks {
		if t.hasMoved() {
			return "", false
		}
	}
	return "No task does better than chance, and no loss has fallen: " + e.taskText() + ". Try a higher learning rate, or look at the pictures that the tasks see.", true
}

func (e evidence) learned() (string, bool) {
	text := sentence(e.taskText())
	if e.measurements() > 1 {
		text += fmt.Sprintf(" The %s probe of the frozen features went from %s to %s.", e.probe, percent(e.first), percent(e.last))
	}
	if pretrained, random, ok := e.evaluated(); ok {
		text += fmt.Sprintf(" The evaluation finds %s by the %s probe, against %s for random weights.", percent(pretrained.Accuracy), pretrained.Probe, percent(random.Accuracy))
	} else if linear, ok := e.chosen("pretrained", "linear"); ok {
		text += fmt.Sprintf(" The evaluation finds %s by the linear probe; random weights were not measured beside it.", percent(linear.Accuracy))
	}
	return text, true
}

// taskText is what the tasks reach, one after the other.
func (e evidence) taskText() string {
	var parts []string
	for _, t := range e.tasks {
		part := fmt.Sprintf("the loss of %s went from %.2f to %.2f", t.name, t.lossBefore, t.loss)
		if t.gained > 0 {
			part = fmt.Sprintf("%s is right in %s", t.name, percent(t.accuracy))
			if t.chance > 0 { // older runs did not record it
				part += fmt.Sprintf(" (chance %s)", percent(t.chance))
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// notes are what the verdict leaves unsaid.
func (e evidence) notes(kind Kind) []string {
	notes := []string{}
	if len(e.Records) == 0 {
		return notes
	}
	if kind != Starved && e.wait > starving/2 {
		notes = append(notes, fmt.Sprintf("%s of the time is spent waiting for data.", percent(e.wait)))
	}
	if kind == Starved && !e.young {
		text, _ := e.learned()
		notes = append(notes, text)
	}
	if e.measurements() == 0 && len(e.Layers) == 0 {
		notes = append(notes, "No labelled pictures were given (eval.train and eval.test, or `pretrain eval`), so nothing tells whether the features are of use: a pretext loss alone does not.")
	}
	for _, t := range e.tasks {
		if kind == Learned && !t.hasMoved() {
			notes = append(notes, fmt.Sprintf("%s has not begun to be learned.", t.name))
		}
		if t.reachedCeilingSoon {
			notes = append(notes, fmt.Sprintf("%s was nearly solved within a tenth of the run: it may be too easy, or have a shortcut.", t.name))
		}
	}
	return append(notes, e.fights()...)
}

// fights lists the tasks that work against each other, by the mean over the last closer looks.
func (e evidence) fights() (notes []string) {
	const looks = 20
	cosines, seen := map[[2]string][]float64{}, 0
	for _, record := range slices.Backward(e.Records) {
		if record.Inspection == nil {
			continue
		}
		for _, c := range record.Inspection.Cosines {
			if v := float64(c.Cosine); !math.IsNaN(v) {
				cosines[[2]string{c.Task, c.Other}] = append(cosines[[2]string{c.Task, c.Other}], v)
			}
		}
		if seen++; seen == looks {
			break
		}
	}
	for pair, values := range cosines {
		if cosine, deviation := stat.MeanStdDev(values, nil); areFighting(cosine, deviation, len(values)) {
			notes = append(notes, fmt.Sprintf("%s and %s pull the backbone in opposite directions (cosine %.2f).", pair[0], pair[1], cosine))
		}
	}
	slices.SortFunc(notes, cmp.Compare)
	return notes
}

func areFighting(mean, deviation float64, looks int) bool {
	return looks >= fightingLooks && mean < fighting && mean+fightingErrors*stat.StdErr(deviation, float64(looks)) < 0
}

// sentence begins text with a capital and ends it with a full stop.
func sentence(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func percent[T ~float64](share T) string { return fmt.Sprintf("%.0f %%", 100*float64(share)) }
