# The decomposition of the mean as by= smooths of mgcv: Rscript benchmark_speed.R FOLDER ACTION...
# Reads rows.csv and points.csv in FOLDER and writes mgcv.json: seconds, and the joint effect.
library(mgcv)
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[1]
names <- arguments[-1]
rows <- read.csv(file.path(folder, "rows.csv"))
points <- read.csv(file.path(folder, "points.csv"), comment.char = "")
colnames(points) <- names
terms <- c()
for (k in names) {
  free <- paste0("free_", k)
  terms <- c(terms, sprintf("s(%s, k = 15)", k), sprintf("s(%s, by = %s, k = 15)", k, free))
  for (j in setdiff(names, k)) {
    terms <- c(
      terms,
      sprintf("s(%s, by = %s, k = 6)", j, free),
      sprintf("ti(%s, %s, by = %s, k = 4)", k, j, free)
    )
  }
}
formula <- as.formula(paste("outcome ~", paste(terms, collapse = " + ")))
began <- proc.time()[["elapsed"]]
fit <- bam(formula, data = rows, discrete = TRUE, nthreads = 2)
seconds <- proc.time()[["elapsed"]] - began
for (k in names) points[[paste0("free_", k)]] <- 0
effect <- as.numeric(predict(fit, points))
text <- sprintf(
  "{\"seconds\": %f, \"effect\": [%s]}", seconds, paste(format(effect, digits = 10), collapse = ", ")
)
writeLines(text, file.path(folder, "mgcv.json"))
