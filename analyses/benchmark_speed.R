# What this library assumes, in mgcv: a smooth of each action, and a bias where it was not set, which
# depends on the action and on those that move it; F tests in the experiments say which these are.
# usage: Rscript benchmark_speed.R FOLDER ACTION...
# Fits FOLDER/rows.csv, then other.csv if there is one; writes answer.json: seconds and processor
# seconds of both fits, and the joint effect at points.csv with its standard error by the first.
suppressPackageStartupMessages(library(mgcv))
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[1]
actions <- arguments[-1]
threads <- as.integer(Sys.getenv("OMP_NUM_THREADS", parallel::detectCores()))

# Actions whose experiments move the mean of an action.
causes_of <- function(k, rows) {
  moves <- function(j) {
    own <- rows[rows$regime == j, ]
    fit <- lm(own[[k]] ~ poly(own[[j]], 3))
    anova(fit)[["Pr(>F)"]][1] < 0.001
  }
  Filter(moves, setdiff(actions, k))
}

fit_rows <- function(rows) {
  terms <- c()
  for (k in actions) {
    free <- paste0("free_", k)
    rows[[free]] <- as.numeric(rows$regime != k)
    causes <- causes_of(k, rows)
    terms <- c(
      terms,
      sprintf("s(%s, k = 15)", k), sprintf("s(%s, by = %s, k = 15)", k, free),
      sprintf("s(%s, by = %s, k = 6)", causes, free),
      sprintf("ti(%s, %s, by = %s, k = 4)", k, causes, free)
    )
  }
  formula <- as.formula(paste("outcome ~", paste(terms, collapse = " + ")))
  bam(formula, data = rows, discrete = TRUE, nthreads = threads)
}

seconds <- c()
for (file in c("rows.csv", "other.csv")) {
  path <- file.path(folder, file)
  if (!file.exists(path)) next
  rows <- read.csv(path)
  began <- proc.time()
  fit <- fit_rows(rows)
  passed <- proc.time() - began
  seconds <- c(seconds, passed[["elapsed"]], passed[["user.self"]] + passed[["sys.self"]])
  if (file == "rows.csv") first <- fit
}
points <- read.csv(file.path(folder, "points.csv"))
points[paste0("free_", actions)] <- 0
effect <- predict(first, points, se.fit = TRUE)
list_of <- function(values) paste0("[", paste(signif(values, 10), collapse = ", "), "]")
text <- sprintf(
  "{\"seconds\": %s, \"effect\": %s, \"sd\": %s}",
  list_of(seconds), list_of(effect$fit), list_of(effect$se.fit)
)
writeLines(text, file.path(folder, "answer.json"))
