-- Lines that are due are read in the order in which they are leased, and only as many as are leased.

DROP INDEX report_lines_to_send;
CREATE INDEX report_lines_to_send ON report_lines (next_us, organization, operation) WHERE state = 'frozen';
