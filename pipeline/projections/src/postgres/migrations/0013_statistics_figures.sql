-- Without units there are few rows of each window, beside one for each product that was sold in it.
-- The value is not in the index, so that its updates stay on their page.
CREATE INDEX statistics_figures ON statistics (width_ms, start_ms) WHERE figure <> 'units';
