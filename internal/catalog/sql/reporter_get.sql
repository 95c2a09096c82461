SELECT paused, restored_us, reason FROM reporter_states WHERE organization = $1
