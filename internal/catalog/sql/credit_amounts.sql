SELECT amount FROM entitlement_credits WHERE organization = $1 AND entitlement = $2 AND time_us <= $3
