-- For whom a month is closed, whatever other months and customers there are.

CREATE INDEX periods_by_month ON periods (organization, month, customer);
