# What this library assumes, in mgcv: a smooth of each action, and a bias where it was not set, which
# depends on the action and on those that move it; F tests in the experiments say which these are.
# An action with at most ten values has levels; those of its bias are shrunken.
# usage: Rscript additive.R FOLDER ACTION...
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
    by <- own[[j]]
    fit <- lm(as.numeric(own[[k]]) ~ if (is.factor(by)) by else poly(by, 3))
    anova(fit)[["Pr(>F)"]][1] < 0.001
  }
  Filter(moves, setdiff(actions, k))
}

fit_rows <- function(rows) {
  levels <- sapply(actions, function(k) is.factor(rows[[k]]))
  # A function of an action, or of its levels, where another was not set.
  where <- function(j, free, size) {
    ifelse(levels[j], sprintf("s(%s, %s, bs = 're')", j, free),
      sprintf("s(%s, by = %s, k = %d)", j, free, size))
  }
  terms <- c()
  for (k in actions) {
    free <- paste0("free_", k)
    rows[[free]] <- as.numeric(!grepl(paste0("\\b", k, "\\b"), rows$regime))
    causes <- causes_of(k, rows)
    numbers <- if (levels[k]) NULL else causes[!levels[causes]]
    terms <- c(
      terms, if (levels[k]) c(k, free) else sprintf("s(%s, k = 15)", k),
      where(k, free, 15), where(causes, free, 6),
      sprintf("ti(%s, %s, by = %s, k = 4)", k, numbers, free)
    )
  }
  formula <- as.formula(paste("outcome ~", paste(terms, collapse = " + ")))
  # Discrete fits of factors give other predictions than exact ones, by many standard errors.
  bam(formula, data = rows, discrete = !any(levels), nthreads = threads)
}

read_rows <- function(path) {
  rows <- read.csv(path)
  rows$regime <- as.character(rows$regime)
  for (k in actions) if (length(unique(rows[[k]])) <= 10) rows[[k]] <- factor(rows[[k]])
  rows
}

seconds <- c()
for (file in c("rows.csv", "other.csv")) {
  path <- file.path(folder, file)
  if (!file.exists(path)) next
  rows <- read_rows(path)
  began <- proc.time()
  fit <- fit_rows(rows)
  passed <- proc.time() - began
  seconds <- c(seconds, passed[["elapsed"]], passed[["user.self"]] + passed[["sys.self"]])
  if (file == "rows.csv") first <- fit
}
points <- read.csv(file.path(folder, "points.csv"))
for (k in actions) if (is.factor(rows[[k]])) points[[k]] <- factor(points[[k]], levels(rows[[k]]))
points[paste0("free_", actions)] <- 0
effect <- predict(first, points, se.fit = TRUE)
list_of <- function(values) paste0("[", paste(signif(values, 10), collapse = ", "), "]")
text <- sprintf(
  "{\"seconds\": %s, \"effect\": %s, \"sd\": %s}",
  list_of(seconds), list_of(effect$fit), list_of(effect$se.fit)
)
writeLines(text, file.path(folder, "answer.json"))
