package nn

import "pretrain/internal/kernel"

// BatchNormStatistics are the statistics of one batch normalisation of a program built for training.
type BatchNormStatistics struct {
	Name                         string
	RunningMean, RunningVariance *Parameter
	Groups                       kernel.NormGroups // rows of each statistics group
	mean, rstd                   []float32         // [groups, channels]
}

// BatchNorms lists the batch normalisations that the program computes, in the order in which the graph was built;
// none for graphs built for evaluation.
func (p *Program) BatchNorms() []BatchNormStatistics {
	var all []BatchNormStatistics
	l := linker{plan: p.plan, arena: p.arena}
	for _, norm := range p.plan.graph.batchNorms {
		at, computed := p.plan.locations[norm.statistics]
		if !computed {
			continue
		}
		var statistics kernel.Array
		l.resolve(&statistics, at)
		n := at.size / 2
		all = append(all, BatchNormStatistics{
			Name: norm.name, RunningMean: norm.mean, RunningVariance: norm.variance, Groups: norm.groups,
			mean: statistics.Float32()[:n], rstd: statistics.Float32()[n:],
		})
	}
	return all
}

// Mean returns the channel means of a group in the last Run; the next Run overwrites them.
func (s BatchNormStatistics) Mean(group int) []float32 {
	channels := len(s.mean) / len(s.Groups)
	return s.mean[group*channels : (group+1)*channels]
}

// Variance writes the biased channel variances of a group in the last Run to dst, one a channel.
func (s BatchNormStatistics) Variance(dst []float32, group int) {
	channels := len(s.rstd) / len(s.Groups)
	for i, r := range s.rstd[group*channels : (group+1)*channels] {
		dst[i] = float32(1/(float64(r)*float64(r)) - BatchNormEpsilon)
	}
}
