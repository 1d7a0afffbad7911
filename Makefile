# Every target is a command of deploy/local; `make help` says what each does.
PYTHON ?= python3
override Q := $(value Q)
override ARGS := $(value ARGS)
export Q ARGS
RUN = @$(PYTHON) -m deploy.local
TARGETS = new-source new-table new-model help setup up down status sql airflow logs urls clean demo nights test soak lint requirements quality bench docs dist env dashboards-export dashboards-import dashboards-bench

.PHONY: $(TARGETS)
.DEFAULT_GOAL := help

help setup down status lint requirements docs dist env dashboards-export dashboards-import:
	$(RUN) $@

up:
	$(RUN) up --only "$(ONLY)"

new-source new-table new-model:
	$(RUN) $@ --name "$(NAME)"

soak:
	$(RUN) soak $(if $(STOPS),--stops "$(STOPS)")

test:
	$(RUN) test $(if $(T),--only="$(T)")

sql airflow:
	$(RUN) $@

logs:
	$(RUN) logs "$(S)" $(if $(F),--follow)

urls:
	$(RUN) urls $(if $(JSON),--json)

clean:
	$(RUN) clean $(if $(ALL),--all)

demo:
	$(RUN) demo $(if $(NIGHTS),--nights "$(NIGHTS)")

nights:
	$(RUN) nights $(if $(FROM),--from "$(FROM)") $(if $(START),--start "$(START)") $(if $(NIGHTS),--nights "$(NIGHTS)")

dashboards-bench:
	$(RUN) $@ $(if $(PICTURES),--pictures "$(PICTURES)")

quality:
	$(RUN) $@ $(if $(DIR),--dir "$(DIR)")

bench:
	$(RUN) $@ $(if $(DIR),--dir "$(DIR)") $(if $(SCALE),--scale "$(SCALE)")
