# Two commands on a fresh x86-64 Linux machine with Python 3.10 to 3.13: make demo, make test.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
export PYTHONPATH := $(CURDIR)
export AMENT_PREFIX_PATH := $(CURDIR)/$(VENV)
export FASTRTPS_DEFAULT_PROFILES_FILE ?= $(CURDIR)/config/fastdds.xml
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE
RUN := $(VENV)/bin/python -m

.PHONY: help setup demo test clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY)  ## make .venv with everything below (the other targets call it)

$(READY): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo '$(PYTHON) is not Python 3.10 to 3.13: name one, as in: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; }
	@echo 'Setting up $(VENV), once; this takes a minute or two.'
	@$(PYTHON) -m venv $(VENV) && $(VENV)/bin/pip install -q --retries 2 -r requirements.txt \
	  >$(VENV)/setup.log 2>&1 || { echo 'Cannot install requirements.txt: is the package index' \
	  'reachable? pip says in $(VENV)/setup.log:' "$$(grep -m1 ERROR $(VENV)/setup.log)"; exit 1; }
	@touch $@

demo: $(READY)  ## run the node on a camera (INPUT=folder, video or rosbag2 directory)
	@$(RUN) depth_estimation_ros.tools.demo $(if $(INPUT),--input $(INPUT)) $(ARGS)

test: $(READY)  ## run all tests
	@$(RUN) pytest $(ARGS)

clean:  ## remove .venv and what the targets wrote
	rm -rf $(VENV) .venv-* *_output build install log .pytest_cache .mypy_cache .ruff_cache .hypothesis
