package export

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"pretrain/internal/atomicfile"
)

// groupBytes bounds a row group, which is held in memory until it is whole; nameBytes stand for what a row has besides
// features.
const (
	groupBytes = 32 << 20
	nameBytes  = 256
)

// parquetWriter writes row groups of columns, compressed by zstd. Features are a three-level LIST of required floats,
// which every reader of parquet knows.
type parquetWriter struct {
	file    *atomicfile.File
	writer  *parquet.GenericWriter[any]
	columns []*parquet.ColumnWriter
	sha256  bool
	group   int // rows a group
	rows    int // in the present group
	values  []parquet.Value
}

func newParquet(path string, options FeatureOptions) (FeatureWriter, error) {
	schema := parquet.NewSchema("features", parquetFields(options))
	writerOptions := []parquet.WriterOption{schema, parquet.Compression(&zstd.Codec{}), parquet.CreatedBy("pretrain", "", "")}
	for _, column := range options.Columns {
		shape := strings.Trim(fmt.Sprint(column.Shape), "[]")
		writerOptions = append(writerOptions, parquet.KeyValueMetadata("shape."+column.name(), shape),
			parquet.SkipPageBounds(column.name(), "list", "element")) // the least and the greatest feature tell nothing
	}
	for key, value := range options.Metadata {
		writerOptions = append(writerOptions, parquet.KeyValueMetadata(key, value))
	}
	file, err := atomicfile.Create(path, options.Overwrite)
	if err != nil {
		return nil, err
	}
	w := &parquetWriter{file: file, writer: parquet.NewGenericWriter[any](file, writerOptions...), sha256: options.SHA256}
	w.columns = w.writer.ColumnWriters()
	rowBytes := nameBytes
	for _, column := range options.Columns {
		rowBytes += 4 * column.size()
	}
	w.group = max(1, groupBytes/rowBytes)
	return w, nil
}

// parquetFields are the columns in their order.
func parquetFields(options FeatureOptions) fieldList {
	fields := fieldList{Group: parquet.Group{
		"path": parquet.String(), "label": parquet.Optional(parquet.String()),
		"width": parquet.Leaf(parquet.Int32Type), "height": parquet.Leaf(parquet.Int32Type),
	}, names: []string{"path", "label", "width", "height"}}
	if options.SHA256 {
		fields.Group["sha256"] = parquet.String()
		fields.names = append(fields.names, "sha256")
	}
	for _, column := range options.Columns {
		fields.Group[column.name()] = parquet.List(parquet.Leaf(parquet.FloatType))
		fields.names = append(fields.names, column.name())
	}
	return fields
}

// fieldList is a parquet.Group with an order; the library's own sorts by name.
type fieldList struct {
	parquet.Group
	names []string
}

// Fields lists the columns in the order of their names.
func (l fieldList) Fields() []parquet.Field {
	fields := l.Group.Fields()
	slices.SortFunc(fields, func(a, b parquet.Field) int {
		return slices.Index(l.names, a.Name()) - slices.Index(l.names, b.Name())
	})
	return fields
}

func (w *parquetWriter) Write(row FeatureRow) error {
	label := parquet.NullValue()
	if row.Label != "" {
		label = textValue(row.Label).Level(0, 1, 1)
	}
	scalars := []parquet.Value{
		textValue(row.Path), label, parquet.Int32Value(int32(row.Width)), parquet.Int32Value(int32(row.Height)),
	}
	if w.sha256 {
		scalars = append(scalars, textValue(row.SHA256))
	}
	for column, value := range scalars {
		if _, err := w.columns[column].WriteRowValues([]parquet.Value{value}); err != nil {
			return err
		}
	}
	for i, vector := range row.Vectors {
		if err := w.writeList(len(scalars)+i, vector); err != nil {
			return err
		}
	}
	if w.rows++; w.rows < w.group {
		return nil
	}
	w.rows = 0
	return w.writer.Flush()
}

// textValue is a string as readers want it, who refuse a whole file for one name that is not UTF-8.
func textValue(text string) parquet.Value {
	return parquet.ByteArrayValue([]byte(strings.ToValidUTF8(text, "\ufffd")))
}

// writeList writes the features of a picture: the first one begins a new list, the others repeat.
func (w *parquetWriter) writeList(column int, vector []float32) error {
	w.values = w.values[:0]
	for i, value := range vector {
		w.values = append(w.values, parquet.FloatValue(value).Level(min(i, 1), 1, column))
	}
	_, err := w.columns[column].WriteRowValues(w.values)
	return err
}

func (w *parquetWriter) Close() error {
	if err := w.writer.Close(); err != nil {
		w.Abort()
		return err
	}
	return w.file.Commit()
}

func (w *parquetWriter) Abort() { w.file.Abort() }
