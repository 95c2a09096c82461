-- What is carried is looked through every hour.
CREATE INDEX report_balances_carried ON report_balances (organization) WHERE kind = 'carry' AND amount <> '0';
