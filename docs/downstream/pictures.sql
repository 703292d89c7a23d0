-- Pictures a label, and the length of their vectors.
SELECT label, count(*) AS pictures, min(len(vector)) AS shortest, max(len(vector)) AS longest
FROM 'runs/downstream/train.parquet' GROUP BY label ORDER BY pictures DESC, label LIMIT 4;

-- The training pictures that are nearest to one test picture.
SELECT train.path, list_cosine_similarity(train.vector, query.vector)::DECIMAL(4, 3) AS similarity
FROM 'runs/downstream/train.parquet' AS train, 'runs/downstream/test.parquet' AS query
WHERE query.path LIKE '%/test/fig/000.jpg' ORDER BY similarity DESC, train.path LIMIT 4;

-- How often the nearest training picture has the label of the test picture.
SELECT count(*) AS pictures, avg((nearest = label)::INT)::DECIMAL(4, 3) AS accuracy FROM (
  SELECT any_value(test.label) AS label, max_by(train.label, list_cosine_similarity(train.vector, test.vector)) AS nearest
  FROM 'runs/downstream/test.parquet' AS test, 'runs/downstream/train.parquet' AS train GROUP BY test.path);

-- The columns of --layer all: in each, every vector has the length that the file's metadata tells.
SELECT layer, count(*) AS pictures,
  CASE WHEN bool_and(len(vector) = length) THEN any_value(length) ELSE error(layer || ' has other lengths') END AS length
FROM (UNPIVOT 'runs/downstream/all.parquet' ON COLUMNS('layer.*') INTO NAME layer VALUE vector)
JOIN (SELECT decode(key) AS key, decode(value)::INT AS length FROM parquet_kv_metadata('runs/downstream/all.parquet')
      WHERE decode(key) LIKE 'shape.%') ON key = 'shape.' || layer
GROUP BY layer ORDER BY layer;
