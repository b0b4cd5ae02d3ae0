# The code of docs/tutorials/r_users.md, which a test compares with this file:
#   python -c 'import bayes_intgen as bi; bi.datasets.light_tunnel().frame.to_csv("rows.csv")'
#   Rscript analyses/r_users.R

library(mgcv)
rows <- read.csv("rows.csv")
rows$free_red <- as.numeric(rows$regime != "red")
rows$free_green <- as.numeric(rows$regime != "green")
fit <- bam(
  ir_1 ~ s(red, k = 15) + s(green, k = 15) +
    s(red, by = free_red, k = 15) + s(green, by = free_green, k = 15) +
    s(green, by = free_red, k = 6) + s(red, by = free_green, k = 6) +
    ti(red, green, by = free_red, k = 4) +
    ti(red, green, by = free_green, k = 4),
  data = rows, discrete = TRUE
)
both_set <- data.frame(red = 60, green = 25, free_red = 0, free_green = 0)
predict(fit, both_set, se.fit = TRUE)
