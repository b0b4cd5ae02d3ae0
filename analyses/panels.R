# The confounding bias of mgcv's bam in a panel of regions with a season, in two forms: a function of
# the action and of each observed cause by itself (sum), and of the action and of its control
# variable (control): the residual of the action given its causes, or for levels and zeros the normal
# score of its conditional mid-rank (Imbens and Newey 2009).
# usage: Rscript panels.R FOLDER smooth|binary|levels|spend
# Reads rows.csv, points.csv and edges.csv (cause, action) in FOLDER; writes answer.json: by form, the
# mean outcome at the points with all actions set over regions and season, and standard errors.
suppressPackageStartupMessages(library(mgcv))
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[1]
type <- arguments[2]
rows <- read.csv(file.path(folder, "rows.csv"))
points <- read.csv(file.path(folder, "points.csv"))
edges <- read.csv(file.path(folder, "edges.csv"))
actions <- colnames(points)
regions <- sort(unique(rows$region))
rows$region <- factor(rows$region, levels = regions)
each <- function(template) paste(sapply(actions, function(k) gsub("K", k, template)), collapse = " + ")
causes_of <- function(k) edges$cause[edges$action == k]

# Normal score of the rank of an action given its causes, halfway through ties.
score <- function(below, here) qnorm(pmin(pmax(below + here / 2, .001), .999))
control <- function(k, own) {
  causes <- c("s(season, k = 8)", "region", sprintf("s(%s, k = 8)", causes_of(k)))
  given <- function(outcome, data, ...) {
    bam(reformulate(causes, outcome), data = data, discrete = TRUE, ...)
  }
  a <- own[[k]]
  if (type == "smooth") return(residuals(given(k, own)))
  if (type == "spend") {
    own$any <- as.numeric(a > 0)
    p <- fitted(given("any", own, family = binomial))
    positive <- given(k, own[a > 0, ])
    z <- (a - predict(positive, own)) / sd(residuals(positive))
    return(ifelse(a > 0, score(1 - p + p * pnorm(z), 0), score(0, 1 - p)))
  }
  levels <- sort(unique(a))
  above <- sapply(levels[-1], function(level) {
    own$above <- as.numeric(a >= level)
    fitted(given("above", own, family = binomial))
  })
  above <- cbind(1, above, 0)
  i <- match(a, levels)
  at <- function(j) above[cbind(seq_along(a), j)]
  score(1 - at(i), at(i) - at(i + 1))
}

for (k in actions) {
  free <- rows$regime != k
  rows[[paste0("free_", k)]] <- as.numeric(free)
  rows[[paste0("r_", k)]] <- 0
  rows[[paste0("r_", k)]][free] <- control(k, rows[free, ])
  # A bias that differs between two levels.
  rows[[paste0("high_", k)]] <- rows[[paste0("free_", k)]] * rows[[k]]
  points[[paste0("high_", k)]] <- points[[paste0("free_", k)]] <- points[[paste0("r_", k)]] <- 0
}
own <- switch(type, smooth = "s(K, k = 12)", spend = "s(K, k = 12)", binary = "K", levels = "factor(K)")
bias <- switch(type,
  smooth = NULL, spend = "s(K, by = free_K, k = 10)", binary = "K:free_K",
  levels = "s(K, by = free_K, k = 4)"
)
common <- c(each(own), each("free_K"), "s(season, k = 8)", "s(region, bs = 're')")
sums <- c(
  if (type == "smooth") each("s(K, by = free_K, k = 12)") else each(bias),
  each("s(season, by = free_K, k = 8) + s(region, by = free_K, bs = 're')"),
  if (type == "binary") each("s(season, by = high_K, k = 6)"),
  sprintf("s(%s, by = free_%s, k = 8)", edges$cause, edges$action),
  sprintf("ti(%s, %s, by = free_%s, k = 5)", edges$action, edges$cause, edges$action)
)
product <- switch(type,
  binary = "s(r_K, by = high_K, k = 6)", smooth = "ti(K, r_K, by = free_K, k = 5)",
  "ti(K, r_K, by = free_K, k = 4)"
)
controls <- c(
  if (!is.null(bias)) each(bias), each(sprintf("s(r_K, by = free_K, k = %d)", if (type == "smooth") 12 else 10)),
  each(product)
)

# Mean over regions and over the season of the columns of points.
seasons <- sqrt(2) * sin(2 * pi * (1:24) / 24)
mean_over <- function(fit, region, season) {
  count <- max(length(region), length(season))
  point <- rep(seq_len(nrow(points)), count)
  at <- points[point, ]
  at$region <- factor(rep(rep_len(region, count), each = nrow(points)), levels = regions)
  at$season <- rep(rep_len(season, count), each = nrow(points))
  rowsum(predict(fit, at, type = "lpmatrix"), point, reorder = FALSE) / count
}
mean_columns <- function(fit) {
  columns <- mean_over(fit, regions, 0)
  of_season <- grepl("^s\\(season\\)", colnames(columns))
  columns[, of_season] <- mean_over(fit, regions[1], seasons)[, of_season]
  columns
}

list_of <- function(values) paste0("[", paste(signif(values, 10), collapse = ", "), "]")
answer <- function(terms) {
  # Discrete fits of factors give other predictions than exact ones, by many standard errors.
  fit <- bam(reformulate(c(common, terms), "outcome"), data = rows, discrete = type != "levels")
  columns <- mean_columns(fit)
  sd <- sqrt(rowSums((columns %*% vcov(fit, unconditional = TRUE)) * columns))
  sprintf("{\"effect\": %s, \"sd\": %s}", list_of(drop(columns %*% coef(fit))), list_of(sd))
}
text <- sprintf("{\"sum\": %s, \"control\": %s}", answer(sums), answer(controls))
writeLines(text, file.path(folder, "answer.json"))
