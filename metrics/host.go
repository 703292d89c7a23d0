package metrics

import "github.com/prometheus/client_golang/prometheus"

// hostCollector asks the system when it is scraped. Where the system does not tell, its series are missing.
type hostCollector struct {
	faults *prometheus.Desc
}

func newHostCollector() *hostCollector {
	return &hostCollector{faults: prometheus.NewDesc(namespace+"_page_faults_total",
		"Page faults of the process: minor, which map memory, and major, which read from a disk.", []string{"kind"}, nil)}
}

// Describe implements prometheus.Collector.
func (h *hostCollector) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- h.faults }

// Collect implements prometheus.Collector.
func (h *hostCollector) Collect(metrics chan<- prometheus.Metric) {
	minor, major, ok := pageFaults()
	if !ok {
		return
	}
	metrics <- prometheus.MustNewConstMetric(h.faults, prometheus.CounterValue, float64(minor), "minor")
	metrics <- prometheus.MustNewConstMetric(h.faults, prometheus.CounterValue, float64(major), "major")
}

// diskCollector tells of the file system that a run is written to.
type diskCollector struct {
	directory  string
	free, size *prometheus.Desc
}

// WatchDisk adds the free and total bytes of the file system that holds a directory. Call it once.
func (s *Series) WatchDisk(directory string) error {
	return s.registry.Register(&diskCollector{
		directory: directory,
		free: prometheus.NewDesc(namespace+"_disk_free_bytes",
			"Free bytes, for users without privileges, of the file system that the run is written to.", nil, nil),
		size: prometheus.NewDesc(namespace+"_disk_size_bytes", "Size of the file system that the run is written to.", nil, nil),
	})
}

// Describe implements prometheus.Collector.
func (d *diskCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- d.free
	descriptions <- d.size
}

// Collect implements prometheus.Collector.
func (d *diskCollector) Collect(metrics chan<- prometheus.Metric) {
	free, size, ok := diskSpace(d.directory)
	if !ok {
		return
	}
	metrics <- prometheus.MustNewConstMetric(d.free, prometheus.GaugeValue, float64(free))
	metrics <- prometheus.MustNewConstMetric(d.size, prometheus.GaugeValue, float64(size))
}
