# Two commands on a fresh x86-64 Linux machine with Python 3.10 to 3.13: make demo, make test.
PYTHON ?= python3
DISTRO ?= jazzy
VENV := .venv$(patsubst %,-%,$(filter-out jazzy,$(DISTRO)))
REQUIREMENTS := requirements.txt requirements-$(DISTRO).txt
READY := $(VENV)/.ready

export PYTHONPATH := $(CURDIR)
export AMENT_PREFIX_PATH := $(CURDIR)/$(VENV)
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST
# Fast DDS looks for its profile under the first name before version 3, under the second since.
export FASTRTPS_DEFAULT_PROFILES_FILE ?= $(CURDIR)/config/fastdds.xml
export FASTDDS_DEFAULT_PROFILES_FILE ?= $(CURDIR)/config/fastdds.xml
# What one environment's ROS wheels leave for its children is wrong for another's.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH

RUN := $(VENV)/bin/python -m

.PHONY: help setup extras demo test coverage test-extras test-checked-fields test-triton test-cv-bridge test-colcon benchmark gpu soak drive clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 22

setup: $(READY)  ## install everything below into .venv (the other targets call it)

$(READY): $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo '$(PYTHON) is not Python 3.10 to 3.13: name one: make $(MAKECMDGOALS) PYTHON=python3.12'; exit 1; }
	@echo 'Setting up $(VENV), once; this takes a minute or two.'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install -q --retries 2 $(addprefix -r ,$(REQUIREMENTS)) >$(VENV)/setup.log 2>&1 || \
	  { echo "Cannot install $(REQUIREMENTS); is the package index within reach? $(VENV)/setup.log says:" \
	         "$$(grep -m1 ERROR $(VENV)/setup.log)"; exit 1; }
	@touch $@

extras: $(VENV)/.extras  ## add Ray and Rerun to .venv, for process_bags on a cluster and estimate --view

$(VENV)/.extras: $(READY) requirements-extras.txt
	@$(VENV)/bin/pip install -q -r requirements-extras.txt
	@touch $@

demo: $(READY)  ## run the node on a camera; INPUT=bag, folder or glob of pictures, or video
	@$(RUN) depth_estimation_ros.tools.demo $(if $(INPUT),--input '$(INPUT)') $(ARGS)

# Three for two cores: what runs the node waits for a third of its time. A process that dies is named and not replaced.
test: $(READY)  ## run the tests in three processes; ARGS='-m slow' those that take long; DISTRO=kilted for ROS 2 Kilted
	@$(RUN) pytest -n 3 --dist loadfile --max-worker-restart 0 $(ARGS)

# Two plain processes: what the node's tests kill and fork is not to be traced.
coverage: $(READY)  ## which lines outside ros/ the tests of core, recordings, commands and report run; the least covered first
	@rm -f .coverage .coverage.*
	@printf '%s\n' test/core 'test/recordings test/offline test/fleet test/report test/tools' | \
	  xargs -P 2 -I{} bash -o pipefail -c '$(RUN) coverage run -p --source=depth_estimation_ros -m pytest -q -p no:cacheprovider {} | tail -n 30' || \
	  { echo 'a test failed: make test shows which'; exit 1; }
	@$(RUN) coverage combine -q
	@$(RUN) coverage report --sort=cover --omit='depth_estimation_ros/ros/*' | sed -n 1,25p
	@echo "all of it but ros/, per cent: $$($(RUN) coverage report --format=total --omit='depth_estimation_ros/ros/*')"

test-extras: extras  ## the tests that need Ray or Rerun, those that take long too
	@$(RUN) pytest -m 'slow or not slow' test/fleet/test_on_ray.py test/offline/test_view.py \
	  test/test_rerun.py test/tools/test_demo_bag.py $(ARGS)

test-checked-fields: $(READY)  ## the node's tests as older distributions run: message fields checked
	@ROS_PYTHON_CHECK_FIELDS=1 $(RUN) pytest $(or $(ARGS),test/ros)

# Triton's interpreter runs the GPU kernels on the CPU; its compiler needs no GPU either.
test-triton: .venv-triton/.ready  ## the GPU kernels without a GPU: interpreted, then compiled
	@TRITON_INTERPRET=1 .venv-triton/bin/python -m pytest test/core/kernels test/core/families $(ARGS)
	@.venv-triton/bin/python -m pytest test/core/kernels/test_compiled.py $(ARGS)

# A gigabyte that nothing else needs, so an environment of its own; with transformers 4, which
# Python 3.10 gets, so that the patched model is seen to be right on that too.
.venv-triton/.ready: Makefile
	@$(PYTHON) -m venv .venv-triton
	@.venv-triton/bin/pip install -q torch==2.13.0 triton==3.9.0 transformers==4.57.6 numpy \
	  opencv-python-headless pillow pyyaml hypothesis 'pytest<9'
	@touch $@

test-cv-bridge:  ## compare with the system's cv_bridge (apt install python3-cv-bridge python3-pytest)
	@env -u AMENT_PREFIX_PATH /usr/bin/python3 -m pytest test/cv_bridge $(ARGS)

test-colcon: $(READY)  ## build and test the package with colcon, then run it as installed
	@. $(VENV)/bin/activate && test/colcon/run

benchmark: $(READY) .venv-rival/.ready  ## measure beside transformers; ARGS=--ros for the node, ARGS=--help
	@$(RUN) depth_estimation_ros.tools.benchmark $(ARGS)

# transformers 5 cannot run its own depth pipeline without torchvision; 4.57 can.
.venv-rival/.ready:
	@$(PYTHON) -m venv .venv-rival
	@.venv-rival/bin/pip install -q torch==2.13.0 transformers==4.57.6 numpy pillow
	@touch $@

gpu: $(READY)  ## try all that only a GPU can show, then measure; gpu_output/report.json
	@$(RUN) depth_estimation_ros.tools.gpu $(ARGS)

soak: $(READY)  ## four cameras, bad frames and changing parameters for SECONDS (600)
	@$(RUN) depth_estimation_ros.tools.soak $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

drive: $(READY)  ## a robot drives through rendered rooms by the scan alone; ARGS='--output drive.png'
	@$(RUN) training.drive $(ARGS)

clean:  ## remove the environments and what the targets wrote
	rm -rf .venv .venv-* *_output build install log .pytest_cache .mypy_cache .ruff_cache .hypothesis
